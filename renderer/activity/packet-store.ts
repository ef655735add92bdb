/** The capture of this window: where, what is kept of it, which packet is picked. One at a time. */
import { defineStore } from 'pinia';
import { computed, ref, shallowReactive, shallowRef, watch } from 'vue';
import {
  type CapturedBytes,
  type CapturedInterface,
  type CaptureEnd,
  type CaptureProgress,
  type CaptureTotals,
  type Failure,
  type PacketRow,
  type RealmName,
} from '../../agent/api/index.ts';
import { useNotices } from '../app/notice-store.ts';
import { useText } from '../app/text/text.ts';
import { useBridge } from '../bridge/bridge.ts';
import { useRealms } from '../inventory/realm-store.ts';
import { useLab } from '../topology/lab-store.ts';
import type { SceneEnd } from '../topology/canvas/scene/scene.ts';
import { noLight } from '../topology/openflow/trace-path.ts';
import { mostPlaces, placesOf, type Subject, subjectOf } from './capture-places.ts';
import { type OpenedFile, readPacketFile } from './file-reading.ts';
import { endsByLink, lightOfSightings } from './packet-light.ts';
import { agentSource, fileSource, type PacketSource } from './packet-source.ts';
import { hueOf, type ProtocolHue } from './protocol-hue.ts';
import { useTraffic } from './traffic-store.ts';

/** Bytes of a packet that are kept at most: all of it, also what a card is to cut. */
const snapLength = 262_144;
/** Milliseconds after which a packet that was just captured has been wherever it comes to. */
const longestWay = 1200;

export interface Capture {
  readonly source: PacketSource;
  /** Where packets are captured; null for those of a file. */
  readonly place: { readonly realm: RealmName; readonly lab: string } | null;
  /** The file that is open; null for a capture. */
  readonly file: OpenedFile | null;
  readonly subjects: readonly Subject[];
  /** In the syntax of tcpdump; null for every packet. */
  readonly filter: string | null;
  /** What the agent names it by; of a file, one that no capture has. */
  readonly id: string;
  readonly state: 'running' | 'stopped';
  /** Why it has stopped. */
  readonly end: CaptureEnd | null;
  readonly failure: Failure | null;
}

const nothing: CaptureTotals = {
  packets: 0,
  bytes: 0,
  dropped: 0,
  drops: [],
  oldest: 1,
  keptBytes: 0,
};

export const usePackets = defineStore('packets', () => {
  const bridge = useBridge();
  const notices = useNotices();
  const realms = useRealms();
  const lab = useLab();
  const traffic = useTraffic();

  const capture = shallowRef<Capture | null>(null);
  const totals = shallowRef<CaptureTotals>(nothing);
  const interfaces = shallowReactive(new Map<number, CapturedInterface>());
  /** Why it could not begin: said below the field of the filter. */
  const refusal = shallowRef<Failure | null>(null);
  /** Put together by hand; null follows the selection. */
  const chosen = shallowRef<readonly Subject[] | null>(null);
  const captureFilter = ref('');
  /** As it is typed, and the last that could be read: rows are asked for by that. */
  const displayFilter = ref('');
  const appliedFilter = ref<string | null>(null);
  const picked = shallowRef<PacketRow | null>(null);
  const bytes = shallowRef<CapturedBytes | null>(null);
  const sightings = shallowRef<readonly PacketRow[]>([]);
  /** Layers and fields of packets that somebody has opened or closed, by name. */
  const opened = shallowReactive(new Map<string, boolean>());
  const hues = shallowReactive(new Map<string, ProtocolHue>());

  const subjects = computed<readonly Subject[]>(() => chosen.value ?? [subjectOf(lab.selection)]);
  /** Asked for, and not yet begun. */
  const starting = ref(false);
  const running = computed(() => capture.value?.state === 'running');
  /** Rows that the display filter means. */
  const matching = ref(0);

  let openings = 0;
  let cancel: AbortController | null = null;
  /** Ends the reading of a file, whose packets stay. */
  let reading: AbortController | null = null;

  const receive = (progress: CaptureProgress): void => {
    const now = capture.value;
    if (now === null) return;
    switch (progress.kind) {
      case 'started':
      case 'interfaces':
        for (const each of progress.interfaces) interfaces.set(each.number, each);
        return;
      case 'totals':
        totals.value = progress.totals;
        return;
      case 'stopped':
        capture.value = { ...now, state: 'stopped', end: progress.end, failure: progress.failure };
        hues.clear();
    }
  };

  const pick = (row: PacketRow | null): void => {
    picked.value = row;
    bytes.value = null;
    sightings.value = [];
    if (row !== null) void ask(row);
  };
  /** The same packet at another hop: its way stays. */
  const step = (row: PacketRow): void => {
    const way = sightings.value;
    pick(row);
    sightings.value = way;
  };
  const ask = async ({ number }: PacketRow): Promise<void> => {
    const now = capture.value;
    if (now === null) return;
    const isOld = (): boolean => picked.value?.number !== number || capture.value?.id !== now.id;
    const packet = await now.source.packet(number);
    if (isOld()) return;
    notices.judge('packet', packet);
    if (packet.ok) bytes.value = packet.value;
    const look = async (): Promise<void> => {
      const seen = await now.source.sightings(number);
      // Without these the packet is lit where it was picked.
      if (seen.ok && !isOld()) sightings.value = seen.value.sightings;
    };
    await look();
    if (isOld() || now.state === 'stopped') return;
    // It may not have come to the end of its way yet.
    await new Promise((resolve) => setTimeout(resolve, longestWay));
    if (!isOld()) await look();
  };

  /** Ends the capture and forgets its packets. */
  const discard = (): void => {
    cancel?.abort();
    cancel = null;
    reading?.abort();
    reading = null;
    capture.value = null;
    totals.value = nothing;
    matching.value = 0;
    interfaces.clear();
    hues.clear();
    refusal.value = null;
    pick(null);
  };

  const start = async (on: readonly Subject[] = subjects.value): Promise<void> => {
    const { document } = lab;
    const realm = realms.watched;
    if (document === null || realm === null) return;
    refusal.value = null;
    const view = { name: lab.name, document, inventory: realms.inventory, find: traffic.find };
    const places = on.flatMap((subject) => placesOf(subject, view));
    if (places.length === 0) return notices.tell(useText().t('packets.nowhere'), 'info');
    if (places.length > mostPlaces) {
      const values = { most: mostPlaces, count: places.length };
      notices.report(useText().t('packets.mostPlaces', values));
    }
    const filter = captureFilter.value.trim() === '' ? null : captureFilter.value.trim();
    const controller = new AbortController();
    const of = lab.name;
    starting.value = true;
    const ended = await bridge.call(
      'capture.start',
      { realm, places: places.slice(0, mostPlaces), filter, snapLength },
      {
        signal: controller.signal,
        onProgress: (progress) => {
          if (controller.signal.aborted) return;
          if (progress.kind === 'started') {
            // The one before goes only now: had this one been refused, its packets would still be there.
            discard();
            cancel = controller;
            starting.value = false;
            capture.value = {
              source: agentSource(bridge, { realm, capture: progress.capture }),
              ...{ place: { realm, lab: of }, file: null, subjects: on, filter },
              ...{ id: progress.capture, state: 'running', end: null, failure: null },
            };
          }
          receive(progress);
        },
      },
    );
    if (controller.signal.aborted) return;
    starting.value = false;
    // What it kept went with it.
    if (cancel === controller) discard();
    if (!ended.ok) refusal.value = ended.failure;
  };

  /** Takes the place of what there was; returns when it is read, as far as it can be. */
  const open = async (file: File): Promise<void> => {
    discard();
    const controller = new AbortController();
    reading = controller;
    const isOld = (): boolean => reading !== controller;
    openings += 1;
    const id = `file:${String(openings)}`;
    const read = readPacketFile(file, controller.signal, (opened, packets) => {
      const now = capture.value;
      if (isOld() || now === null) return;
      for (const each of packets.takeInterfaces()) interfaces.set(each.number, each);
      capture.value = { ...now, file: opened };
      totals.value = packets.kept.totals();
    });
    const { name, size } = file;
    const faults = read.packets.faults;
    capture.value = {
      ...{ id, source: fileSource(read.packets), place: null, subjects: [], filter: null },
      file: { name, size, read: 0, faults, unreadable: false },
      ...{ state: 'running', end: null, failure: null },
    };
    await read.done;
    if (!isOld() && capture.value !== null) capture.value = { ...capture.value, state: 'stopped' };
  };

  const stop = async (): Promise<void> => {
    const now = capture.value;
    if (now === null) return;
    if (now.place === null) {
      reading?.abort();
      return;
    }
    const stopped = await bridge.call('capture.stop', { realm: now.place.realm, capture: now.id });
    notices.judge('capture', stopped);
  };

  // Another lab has other wires; what is seen in one says nothing of them.
  watch(
    () => lab.name,
    () => {
      // A file is of no lab.
      if (capture.value?.file === null) discard();
      chosen.value = null;
    },
  );

  const ends = computed(() =>
    lab.document === null ? new Map<string, SceneEnd>() : endsByLink(lab.document, traffic.find),
  );
  const light = computed(() => {
    if (picked.value === null || capture.value?.place?.lab !== lab.name) return noLight;
    const seen = sightings.value.length > 0 ? sightings.value : [picked.value];
    return lightOfSightings(seen, interfaces, ends.value);
  });

  return {
    capture,
    totals,
    interfaces,
    refusal,
    chosen,
    subjects,
    running,
    starting,
    matching,
    captureFilter,
    displayFilter,
    appliedFilter,
    picked,
    bytes,
    sightings,
    opened,
    light,
    start,
    open,
    stop,
    discard,
    pick,
    step,
    /** Colours what moves by what was seen last. */
    see(rows: readonly PacketRow[]): void {
      if (!running.value) return;
      for (const row of rows) {
        const link = interfaces.get(row.interface)?.link;
        const hue = hueOf(row.protocol);
        if (link !== undefined && hues.get(link) !== hue) hues.set(link, hue);
      }
    },
    hueOf: (link: string | null): ProtocolHue | null =>
      link === null ? null : (hues.get(link) ?? null),
  };
});
