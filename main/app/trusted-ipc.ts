import { ipcMain, type IpcMainEvent, type WebContents } from 'electron';
import { applicationOrigin } from './application-origin.ts';

/** The two channels between a window and main; nothing else is ever sent. */
export const ipcChannels = { request: 'netloom:request', message: 'netloom:message' } as const;

/**
 * Whether a message comes from our own page in a window's main frame. A frame that was navigated elsewhere, an
 * embedded frame or a window we did not make is not trusted, whatever the channel.
 */
export function isTrustedSender(event: Pick<IpcMainEvent, 'sender' | 'senderFrame'>): boolean {
  const frame = event.senderFrame;
  if (frame === null || frame !== event.sender.mainFrame) return false;
  // Not by URL's origin, which is `null` for every scheme that Node does not know.
  return frame.url.startsWith(`${applicationOrigin}/`);
}

/** The only door by which messages of a window come in. Returns the way to close it. */
export function onTrustedRequest(
  listener: (sender: WebContents, text: string) => void,
  refused: (url: string) => void,
): () => void {
  const receive = (event: IpcMainEvent, text: unknown): void => {
    if (!isTrustedSender(event)) {
      refused(event.senderFrame?.url ?? 'a frame that is gone');
      return;
    }
    if (typeof text === 'string') listener(event.sender, text);
  };
  ipcMain.on(ipcChannels.request, receive);
  return () => {
    ipcMain.off(ipcChannels.request, receive);
  };
}
