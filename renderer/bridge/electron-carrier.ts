import type { Carrier } from './carrier.ts';

/** What the preload puts on `window` in the desktop shell. */
export interface PreloadBridge {
  send(text: string): void;
  onMessage(listener: (text: string) => void): void;
}

declare global {
  interface Window {
    readonly netloom?: PreloadBridge;
  }
}

/** Electron's IPC: always open, since main and this window live and die together. */
export function electronCarrier(preload: PreloadBridge): Carrier {
  return {
    open(listener) {
      preload.onMessage((text) => listener.message(text));
      listener.state('open');
    },
    send: (text) => preload.send(text),
  };
}
