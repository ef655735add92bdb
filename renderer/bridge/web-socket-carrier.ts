import type { Carrier, CarrierListener } from './carrier.ts';

const firstDelay = 200;
const longestDelay = 4_000;

/** The gateway's WebSocket at `/bridge` of the same origin. A lost connection is taken up again with back-off. */
export function webSocketCarrier(address: string): Carrier {
  let socket: WebSocket | null = null;
  let delay = firstDelay;
  let timer: number | undefined;

  const connect = (listener: CarrierListener) => {
    window.clearTimeout(timer);
    timer = undefined;
    const current = new WebSocket(address);
    socket = current;
    current.addEventListener('open', () => {
      delay = firstDelay;
      listener.state('open');
    });
    current.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (typeof event.data === 'string') listener.message(event.data);
    });
    // An error is always followed by a close.
    current.addEventListener('close', () => {
      listener.state('lost');
      timer = window.setTimeout(() => connect(listener), delay);
      delay = Math.min(delay * 2, longestDelay);
    });
  };

  return {
    open(listener) {
      connect(listener);
      // Somebody looks at the window again: do not make them wait for the back-off.
      document.addEventListener('visibilitychange', () => {
        if (document.visibilityState === 'visible' && timer !== undefined) connect(listener);
      });
    },
    send: (text) => socket?.send(text),
  };
}

/** Address of the gateway's socket for a page. */
export function bridgeAddress(page: string): string {
  const address = new URL('/bridge', page);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  return address.href;
}
