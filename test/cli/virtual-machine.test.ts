/** A virtual machine on the real kernel: it starts, answers, has a console, is started again, and leaves nothing. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  gallery,
  isAlive,
  Netloom,
  ordinaryUser,
  parse,
  processesIn,
  type RunningRealm,
} from '../harness/netloom.ts';

const lab = 'virtual-machine';
const file = path.join(gallery, `${lab}.yaml`);
/** It starts under emulation, on a machine that does other things too. */
const startUp = 120_000;

interface Step {
  readonly verb: string;
  readonly object: string;
  readonly label: string;
}

describe('a virtual machine', () => {
  let netloom: Netloom;
  let realm: RunningRealm;

  /** The processes of QEMU in the realm, as the machine sees them. */
  const emulators = (): readonly number[] =>
    processesIn(realm.processes).filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('qemu-system-'),
    );
  const steps = async (of: string): Promise<readonly string[]> => {
    const planned = await netloom.must(['plan', of, '--json']);
    return parse<{ readonly steps: readonly Step[] }>(planned).steps.map(
      ({ verb, object, label }) => `${verb} ${object} ${label}`,
    );
  };

  beforeAll(async () => {
    netloom = new Netloom(process.getuid?.() === 0 ? { user: ordinaryUser } : {});
    await netloom.must(['up', file, '--yes']);
    realm = await netloom.realm(lab);
  });
  afterAll(async () => {
    await netloom.dispose();
  });

  it('answers who asks from the bridge, and holds its tap', async () => {
    expect(emulators()).toHaveLength(1);
    const { stdout } = await netloom.must(['check', lab, '--json']);
    expect(stdout).not.toContain('"failed"');
    // Its address is inside: the tap outside has none.
    const addresses = JSON.parse(realm.inRealm(['ip', '-j', 'address', 'show', 'tap1'])) as {
      readonly addr_info: readonly { readonly family: string }[];
    }[];
    expect(addresses[0]?.addr_info.filter(({ family }) => family === 'inet')).toEqual([]);
  });

  it('has a console that runs commands inside, and no others', async () => {
    const shell = netloom.start(['shell', lab, 'vm1']);
    let text = '';
    shell.stdout?.on('data', (data: Buffer) => (text += data.toString()));
    shell.stdin?.write('hostname; ip -4 -o address show eth0; ip route\n');
    await expect.poll(() => text, { timeout: startUp }).toContain('default via 10.90.0.1');
    expect(text).toContain('inet 10.90.0.11/24');
    const second = await netloom.run(['shell', lab, 'vm1']);
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain('The console of vm1 is open already');
    const ended = new Promise((resolve) => shell.once('close', resolve));
    shell.stdin?.end();
    await ended;
    const command = await netloom.run(['exec', lab, 'vm1', '--', 'true']);
    expect(command.status).not.toBe(0);
    expect(command.stderr).toContain('its commands run inside, on its console');
  });

  it('is seen to have ended, and started again by a plan', async () => {
    const [first] = emulators();
    if (first === undefined) throw new Error('no QEMU runs');
    process.kill(first, 'SIGKILL');
    await expect
      .poll(async () => (await netloom.must(['list'])).stdout, { timeout: 30_000 })
      .toMatch(/drifted/);
    expect(await steps(file)).toEqual(['add machine vm1']);
    const gone = await netloom.run(['shell', lab, 'vm1']);
    expect(gone.stderr).toContain('The virtual machine vm1 does not run');
    await netloom.must(['up', file, '--yes']);
    expect(emulators()).toHaveLength(1);
    expect(emulators()).not.toContain(first);
    expect(await steps(file)).toEqual([]);
  });

  it('is another with other settings, and the one before after an undo', async () => {
    const memoryOf = (pid: number | undefined): string | undefined =>
      readFileSync(`/proc/${pid ?? 0}/cmdline`, 'utf8')
        .split('\0-m\0')[1]
        ?.split('\0')[0];
    const larger = await netloom.write(
      `${lab}.yaml`,
      readFileSync(file, 'utf8').replace('memory: 128', 'memory: 160'),
    );
    await netloom.must(['up', larger, '--yes', '--replace']);
    expect(emulators().map(memoryOf)).toEqual(['160']);
    await netloom.must(['undo', lab]);
    expect(emulators().map(memoryOf)).toEqual(['128']);
    await netloom.must(['redo', lab]);
    expect(emulators().map(memoryOf)).toEqual(['160']);
  });

  it('goes without a trace with its lab, and with its realm', async () => {
    await netloom.must(['down', lab]);
    expect(emulators()).toEqual([]);
    expect(isAlive(realm.keeper)).toBe(false);
    expect(processesIn(realm.network)).toEqual([]);
  });
});
