/**
 * The whole of what a page can reach: text out, text in. What may be said is decided by the bridge's host in main,
 * which parses every message; the page never sees ipcRenderer.
 */
import { contextBridge, ipcRenderer } from 'electron';

// A sandboxed preload may not import files, so the channels of trusted-ipc.ts are said again.
const requestChannel = 'netloom:request';
const messageChannel = 'netloom:message';

contextBridge.exposeInMainWorld('netloom', {
  send: (text: unknown): void => {
    ipcRenderer.send(requestChannel, String(text));
  },
  onMessage: (listener: (text: string) => void): void => {
    ipcRenderer.on(messageChannel, (_event, text: unknown) => {
      listener(String(text));
    });
  },
});
