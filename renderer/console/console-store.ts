import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { defineStore } from 'pinia';
import { markRaw, nextTick, ref, shallowReactive } from 'vue';
import type { ProcessExit, ProcessPlace, RealmName } from '../../agent/api/index.ts';
import { useNotices } from '../app/notice-store.ts';
import { useBridge } from '../bridge/bridge.ts';
import { AcknowledgementCounter } from './acknowledgement.ts';

/** Letters in one input; at most three bytes each. */
const mostTyped = 32_768;

export type ConsoleState = 'starting' | 'running' | 'ended';

export interface ConsoleSession {
  readonly id: number;
  readonly realm: RealmName;
  readonly place: ProcessPlace;
  readonly terminal: Terminal;
  readonly fit: FitAddon;
  state: ConsoleState;
  exit: ProcessExit | null;
  /** Ends the process. */
  readonly stop: () => void;
}

/** Consoles go on while nobody looks at them; a session ends with its process or its tab. */
export const useConsoles = defineStore('consoles', () => {
  const bridge = useBridge();
  const notices = useNotices();
  const sessions = ref<readonly ConsoleSession[]>([]);
  const active = ref<number | null>(null);
  let nextId = 1;
  /** A console was asked for from a menu that will want the focus back for its button. */
  let wantsFocus = false;

  const focus = () =>
    sessions.value.find((session) => session.id === active.value)?.terminal.focus();

  const run = async (session: ConsoleSession, signal: AbortSignal) => {
    const { terminal, realm, place } = session;
    let process: string | null = null;
    let typed = '';
    const acknowledge = new AcknowledgementCounter((bytes) => {
      if (process === null) return;
      void bridge.call('process.acknowledge', { realm, session: process, bytes });
    });
    // Keys go one call after the other, so that they arrive in the order they were typed.
    let sending: Promise<unknown> = Promise.resolve();
    const send = () => {
      sending = sending.then(async () => {
        if (process === null || typed === '') return;
        // A long paste goes in pieces: an input takes at most 256 KiB of base64.
        const data = typed.slice(0, mostTyped);
        typed = typed.slice(mostTyped);
        if (typed !== '') send();
        await bridge.call('process.input', {
          realm,
          session: process,
          data: encodeBase64(data),
          end: false,
        });
      });
    };
    const input = terminal.onData((data) => {
      typed += data;
      send();
    });
    const size = () => ({ columns: terminal.cols, rows: terminal.rows });
    let told = size();
    /** Tells the process how large its terminal is; it may have been fitted before there was a process. */
    const tellSize = () => {
      const now = size();
      if (process === null || (now.columns === told.columns && now.rows === told.rows)) return;
      told = now;
      void bridge.call('process.resize', { realm, session: process, size: now });
    };
    const resized = terminal.onResize(tellSize);
    const result = await bridge.call(
      'process.run',
      {
        realm,
        place,
        command: null,
        terminal: told,
      },
      {
        signal,
        onProgress: (progress) => {
          if (progress.kind === 'started') {
            process = progress.session;
            session.state = 'running';
            tellSize();
            send();
            return;
          }
          const bytes = decodeBase64(progress.data);
          terminal.write(bytes, () => acknowledge.taken(bytes.length));
        },
      },
    );
    input.dispose();
    resized.dispose();
    acknowledge.stop();
    session.state = 'ended';
    if (result.ok) session.exit = result.value;
    // That the agent or the realm has ended is said by the window's banner; the tab says that this ended too.
    else if (result.failure.kind !== 'unreachable' && result.failure.kind !== 'realm-gone') {
      notices.fail(result.failure, [], 'console');
    }
    terminal.options.disableStdin = true;
    terminal.options.cursorBlink = false;
  };

  return {
    sessions,
    active,
    focus,
    /** Shows a session, ready to be typed into. */
    show(id: number) {
      active.value = id;
      void nextTick(focus);
    },
    /** For menus and dialogs as they close: the keys belong to the console that was just opened. */
    keepFocus(event: Event) {
      if (!wantsFocus) return;
      wantsFocus = false;
      event.preventDefault();
      focus();
    },
    /** Opens a console, or shows the one that runs in that place already. */
    open(realm: RealmName, place: ProcessPlace, another = false) {
      wantsFocus = document.querySelector('[role=menu], [role=dialog]') !== null;
      const same = sessions.value.find(
        (session) => session.state !== 'ended' && samePlace(session, realm, place),
      );
      if (same !== undefined && !another) {
        active.value = same.id;
        focus();
        return;
      }
      const terminal = markRaw(
        new Terminal({
          fontFamily: "'JetBrains Mono Variable', ui-monospace, monospace",
          fontSize: 12,
          lineHeight: 1.25,
          cursorBlink: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
          scrollback: 10_000,
          // Read out what appears, for a screen reader.
          screenReaderMode: true,
          allowProposedApi: false,
        }),
      );
      const fit = markRaw(new FitAddon());
      terminal.loadAddon(fit);
      const controller = new AbortController();
      const session: ConsoleSession = shallowReactive({
        id: nextId++,
        realm,
        place,
        terminal,
        fit,
        state: 'starting',
        exit: null,
        stop: () => controller.abort(),
      });
      sessions.value = [...sessions.value, session];
      active.value = session.id;
      void run(session, controller.signal);
    },
    close(id: number) {
      const at = sessions.value.findIndex((session) => session.id === id);
      const session = sessions.value[at];
      if (session === undefined) return;
      session.stop();
      session.terminal.dispose();
      sessions.value = sessions.value.filter((each) => each !== session);
      if (active.value === id) {
        active.value = (sessions.value[at] ?? sessions.value[at - 1])?.id ?? null;
      }
    },
  };
});

function samePlace(session: ConsoleSession, realm: RealmName, place: ProcessPlace): boolean {
  if (session.realm !== realm || session.place.kind !== place.kind) return false;
  if (session.place.kind === 'realm' || place.kind === 'realm') return true;
  return session.place.lab === place.lab && session.place.node === place.node;
}

function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function encodeBase64(text: string): string {
  let letters = '';
  for (const byte of new TextEncoder().encode(text)) letters += String.fromCharCode(byte);
  return btoa(letters);
}
