/**
 * Part of the stand-in for Electron: what runs inside the page. The functions here are turned into text and evaluated
 * in Chromium, so each is whole in itself.
 *
 * The preload runs in an isolated world, the page in the main one: worlds share the DOM and no JavaScript object. The
 * bridge between them is a pair of endpoints that exchange texts as DOM events under a secret name. The main world's end
 * is made before any script of the page and keeps the functions that it needs, so that a page that tampers with
 * prototypes changes nothing here; what Electron's own contextBridge does in C++ is not proved by this.
 */

export const isolatedWorld = 'Electron stand-in: isolated world';
export const sendBinding = '__electronStandInSend';
export const deliverFunction = '__electronStandInDeliver';

interface Endpoint {
  expose(key: string, api: unknown): void;
}

/* The text of the next function goes into both worlds. */
function makeEndpoint(secret: string, side: 'main' | 'isolated'): Endpoint {
  const { stringify, parse } = JSON;
  const { apply, ownKeys, defineProperty } = Reflect;
  const { freeze, create } = Object;
  const isArray = Array.isArray;
  const toText = String;
  const CustomEventMaker = CustomEvent;
  const dispatch = EventTarget.prototype.dispatchEvent;
  const detail = Object.getOwnPropertyDescriptor(CustomEvent.prototype, 'detail')?.get;
  const target = document;
  const here = `${secret}-${side}`;
  const there = `${secret}-${side === 'main' ? 'isolated' : 'main'}`;
  const owned: Record<number, (...args: unknown[]) => unknown> = create(null);
  let count = 0;
  let answer: Record<string, unknown> = create(null);

  // Objects without prototype, also for arrays: nothing that a page puts on a prototype gets into a message.
  const bare = (kind: string): Record<string, unknown> => {
    const made: Record<string, unknown> = create(null);
    made['kind'] = kind;
    return made;
  };
  const encode = (value: unknown): unknown => {
    if (value === undefined) return bare('nothing');
    if (typeof value === 'function') {
      count += 1;
      owned[count] = value as (...args: unknown[]) => unknown;
      const made = bare('function');
      made['id'] = count;
      return made;
    }
    if (typeof value === 'object' && value !== null) {
      const made = bare(isArray(value) ? 'array' : 'object');
      const fields: Record<string, unknown> = create(null);
      const keys = ownKeys(value);
      for (let index = 0; index < keys.length; index += 1) {
        const key = keys[index];
        if (typeof key === 'string') fields[key] = encode((value as Record<string, unknown>)[key]);
      }
      made['fields'] = fields;
      return made;
    }
    if (typeof value === 'symbol' || typeof value === 'bigint') throw new Error('cannot be cloned');
    const made = bare('value');
    made['value'] = value;
    return made;
  };
  const decode = (coded: Record<string, unknown>): unknown => {
    if (coded['kind'] === 'nothing') return undefined;
    if (coded['kind'] === 'value') return coded['value'];
    if (coded['kind'] === 'function') {
      const id = coded['id'];
      return (...args: unknown[]): unknown => {
        const message = bare('call');
        message['id'] = id;
        message['args'] = encode(args);
        return ask(message);
      };
    }
    const fields = coded['fields'] as Record<string, Record<string, unknown>>;
    const made: Record<string, unknown> = coded['kind'] === 'array' ? ([] as never) : {};
    const keys = ownKeys(fields);
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as string;
      if (key === 'length') continue;
      const value = decode(fields[key] as Record<string, unknown>);
      defineProperty(made, key, { value, writable: false, enumerable: true, configurable: true });
    }
    return made;
  };
  const tell = (message: Record<string, unknown>): void => {
    const init: Record<string, unknown> = create(null);
    init['detail'] = stringify(message);
    apply(dispatch, target, [new CustomEventMaker(there, init)]);
  };
  const ask = (message: Record<string, unknown>): unknown => {
    tell(message);
    const got = answer;
    if (got['failed'] === true) throw new Error(toText(got['reason']));
    return decode(got['value'] as Record<string, unknown>);
  };
  target.addEventListener(here, (event) => {
    const message = parse(toText(apply(detail as () => unknown, event, []))) as Record<
      string,
      unknown
    >;
    if (message['kind'] === 'answer') {
      answer = message;
      return;
    }
    const back = bare('answer');
    back['failed'] = false;
    back['value'] = bare('nothing');
    back['reason'] = '';
    try {
      if (message['kind'] === 'expose') {
        const value = decode(message['api'] as Record<string, unknown>);
        defineProperty(globalThis, toText(message['key']), {
          value: freeze(value),
          writable: false,
          enumerable: true,
          configurable: false,
        });
      } else {
        const call = owned[message['id'] as number];
        const args = decode(message['args'] as Record<string, unknown>) as unknown[];
        back['value'] = encode(apply(call as () => unknown, undefined, args));
      }
    } catch (error) {
      back['failed'] = true;
      back['reason'] = error instanceof Error ? error.message : 'it failed';
    }
    tell(back);
  });
  return {
    expose: (key, api) => {
      const message = bare('expose');
      message['key'] = key;
      message['api'] = encode(api);
      ask(message);
    },
  };
}

/* What a sandboxed preload may require is `electron`; of that, what a preload needs for IPC. */
function makePreloadModules(
  endpoint: Endpoint,
  bindingName: string,
  deliverName: string,
): (name: string) => unknown {
  const world = globalThis as unknown as Record<string, unknown>;
  const bind = world[bindingName] as (text: string) => void;
  const listeners = new Map<string, ((event: unknown, ...args: unknown[]) => void)[]>();
  const ipcRenderer = {
    send: (channel: string, ...args: unknown[]): void => {
      bind(JSON.stringify({ channel, args }));
    },
    on: (channel: string, listener: (event: unknown, ...args: unknown[]) => void): unknown => {
      listeners.set(channel, [...(listeners.get(channel) ?? []), listener]);
      return ipcRenderer;
    },
  };
  world[deliverName] = (channel: string, args: readonly unknown[]): void => {
    for (const listener of listeners.get(channel) ?? []) listener({ sender: ipcRenderer }, ...args);
  };
  const contextBridge = {
    exposeInMainWorld: (key: string, api: unknown): void => endpoint.expose(key, api),
  };
  return (name) => {
    if (name === 'electron') return { contextBridge, ipcRenderer };
    throw new Error(`module not found: ${name}`);
  };
}

/** For the main world, before any script of the page. */
export function mainWorldScript(secret: string): string {
  return `(${makeEndpoint.toString()})(${JSON.stringify(secret)}, 'main');`;
}

/** For the isolated world: the preload's text, unchanged, in what CommonJS gives it. */
export function isolatedWorldScript(
  secret: string,
  preload: string,
  options: { readonly subframes: boolean },
): string {
  const frames = options.subframes ? 'true' : 'window.top === window';
  return `(() => {
  if (!(${frames})) return;
  const endpoint = (${makeEndpoint.toString()})(${JSON.stringify(secret)}, 'isolated');
  const require = (${makePreloadModules.toString()})(
    endpoint, ${JSON.stringify(sendBinding)}, ${JSON.stringify(deliverFunction)});
  const module = { exports: {} };
  (function (exports, require, module) {
${preload}
  })(module.exports, require, module);
})();`;
}
