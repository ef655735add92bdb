/** Netloom in the guest with the full kernel, and a window on this machine in front of it. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { GuestResult } from './guest.d.mts';
import { runInGuest } from './guest.mjs';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const home = '/tmp/guest-window';

/** A port that nobody listens on now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      );
    });
  });
}

/** Starts the gateway, relays the NIC's port to its loopback, and runs what is put into `command` until `stop` is there. */
function script(port: number): string {
  return `
cd '${checkout}'
mkdir -p -m 700 ${home} ${home}/run ${home}/state ${home}/data ${home}/config
export HOME=${home} XDG_RUNTIME_DIR=${home}/run XDG_STATE_HOME=${home}/state
export XDG_DATA_HOME=${home}/data XDG_CONFIG_HOME=${home}/config NETLOOM_SHELL=browser
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
'${process.execPath}' main/start/start.mjs --no-open --port ${port} >"$NETLOOM_GUEST_RESULTS/gateway" 2>&1 &
gateway=$!
socat TCP-LISTEN:${port},bind=10.0.2.15,fork,reuseaddr TCP:127.0.0.1:${port} &
relay=$!
cd "$NETLOOM_GUEST_RESULTS"
while [ ! -e stop ]; do
  if [ -e command ]; then
    mv command running
    sh running >said 2>&1
    mv said answer
  fi
  sleep 0.2
done
kill $gateway $relay
`;
}

export class GuestWindow {
  readonly #directory: string;
  readonly #ended: Promise<GuestResult>;
  #failure: unknown = null;
  readonly url: string;

  private constructor(directory: string, ended: Promise<GuestResult>, url: string) {
    this.#directory = directory;
    this.#ended = ended;
    this.url = url;
    ended.catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Boots, and waits until the window can be opened. Build before: an emulated machine takes minutes for it. Throws GuestUnavailable or GuestFailure. */
  static async open(): Promise<GuestWindow> {
    const directory = mkdtempSync(path.join(tmpdir(), 'netloom-guest-window-'));
    const port = await freePort();
    const ended = runInGuest({
      script: script(port),
      machine: 'emulated',
      cpus: 2,
      results: directory,
      workingDirectory: checkout,
      timeoutSeconds: 1_500,
      forwardedPort: port,
    });
    let over = false;
    const watched = ended.finally(() => {
      over = true;
    });
    watched.catch(() => undefined);
    for (;;) {
      const log = path.join(directory, 'gateway');
      const said = existsSync(log) ? readFileSync(log, 'utf8') : '';
      const url = /Netloom is ready at (?<url>http:\S+)/.exec(said)?.groups?.['url'];
      if (url !== undefined) return new GuestWindow(directory, ended, url);
      if (over) {
        await ended.finally(() => rmSync(directory, { recursive: true, force: true }));
        throw new Error(`The guest ended: ${said}`);
      }
      await delay(200);
    }
  }

  /** What a script prints in the guest, standard error with it. */
  async run(text: string): Promise<string> {
    const at = (name: string): string => path.join(this.#directory, name);
    rmSync(at('answer'), { force: true });
    writeFileSync(at('next'), text);
    renameSync(at('next'), at('command'));
    while (!existsSync(at('answer'))) {
      if (this.#failure !== null) throw this.#failure;
      await delay(100);
    }
    return readFileSync(at('answer'), 'utf8');
  }

  /** The same with `ip` and the others in a realm, past Netloom. */
  inRealm(realm: string, command: string): Promise<string> {
    return this.run(`
for record in ${home}/run/netloom/*/keeper.json; do
  grep -q '"realm": *"${realm}"' "$record" || continue
  keeper=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/' "$record" | head -n 1)
done
exec nsenter -t "$keeper" -U --preserve-credentials -m -n -- ${command}
`);
  }

  async close(): Promise<void> {
    writeFileSync(path.join(this.#directory, 'stop'), '');
    await this.#ended.catch(() => undefined);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
