import type { WebContents } from 'electron';
import type { BridgeHost, BridgeWindow } from '../bridge/host.ts';
import { ipcChannels, onTrustedRequest } from './trusted-ipc.ts';

/** Refused messages that are told of; a page that sends many is not to fill a disk. */
const maximumComplaints = 20;

/**
 * Carries the bridge over IPC: one window of the host for each document that speaks. It is closed when the document
 * goes, by navigation, by a crash or with its contents; the next document gets its own with its first message.
 */
export function carryBridge(
  host: Pick<BridgeHost, 'attach'>,
  log: (line: string) => void = (line) => process.stderr.write(`netloom: ${line}\n`),
): void {
  const windows = new Map<WebContents, BridgeWindow>();
  const known = new WeakSet<WebContents>();
  let complaints = 0;

  const close = (contents: WebContents): void => {
    windows.get(contents)?.close();
    windows.delete(contents);
  };
  const follow = (contents: WebContents): void => {
    if (known.has(contents)) return;
    known.add(contents);
    const closeIt = (): void => {
      close(contents);
    };
    // Not did-start-navigation: that also comes before a navigation that is then denied.
    contents.on('did-navigate', closeIt);
    contents.on('render-process-gone', closeIt);
    contents.on('destroyed', closeIt);
  };

  onTrustedRequest(
    (contents, text) => {
      let window = windows.get(contents);
      if (window === undefined) {
        follow(contents);
        window = host.attach((message) => {
          if (!contents.isDestroyed()) contents.send(ipcChannels.message, message);
        });
        windows.set(contents, window);
      }
      window.receive(text);
    },
    (url) => {
      complaints += 1;
      if (complaints <= maximumComplaints) {
        log(`bridge: a message from ${url.slice(0, 200)} was refused`);
      }
    },
  );
}
