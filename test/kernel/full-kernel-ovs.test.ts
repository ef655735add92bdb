/**
 * Engines of Open vSwitch on the kernel's datapath, on a kernel that has it: one that is killed leaves nothing. The guest tier
 * runs this file.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeNamespace, createAnonymousNamespace, runIn } from '../../agent/kernel/namespaces.ts';
import { lackOfKernelDatapath } from '../../agent/ovs/datapath.ts';
import { engineFiles } from '../../agent/ovs/engine-commands.ts';
import { startEngine, stopEngine } from '../../agent/ovs/private-engine.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import { eventually, vsctl } from './ovs-private.ts';

const lack = lackOfKernelDatapath();

it('is there where the guest has it', () => {
  if (process.env['NETLOOM_FULL_KERNEL'] === '1') expect(lack).toBeNull();
});

describe.skipIf(lack !== null)('on the kernel’s datapath', () => {
  const work = mkdtempSync(join(tmpdir(), 'netloom-datapath-'));
  beforeAll(requirePrivateNamespaces);
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it('an engine that was killed leaves nothing, and others have what they had', async () => {
    const places = ['one', 'other'].map((name) => ({
      directory: join(work, name),
      namespace: must(createAnonymousNamespace()),
    }));
    const links = (fd: number): string =>
      must(runIn(fd, () => execFileSync('ip', ['-br', 'link']).toString()));
    const pids: (number | null)[] = [];
    for (const { directory, namespace } of places) {
      const started = must(
        await startEngine({ directory, datapath: 'system', namespaceFd: namespace.fd }),
      );
      pids.push(started.switch.pid);
      const { socket } = engineFiles(directory);
      const tunnel = ['add-port', 'br0', 't0', '--', 'set', 'interface', 't0', 'type=vxlan'];
      vsctl(socket, 'add-br', 'br0', '--', ...tunnel, 'options:remote_ip=192.0.2.1');
      expect(links(namespace.fd)).toMatch(/ovs-system/);
      expect(links(namespace.fd)).toMatch(/vxlan_sys/);
    }
    const [one, other] = places;
    if (one === undefined || other === undefined) throw new Error('no places');
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await eventually(async () => {
      must(await stopEngine(one.directory, one.namespace.fd));
      expect(links(one.namespace.fd)).not.toMatch(/ovs-system|_sys|br0/);
    });
    expect(links(other.namespace.fd)).toMatch(/ovs-system[^]*br0|br0[^]*ovs-system/);
    must(await stopEngine(other.directory, other.namespace.fd));
    expect(links(other.namespace.fd)).not.toMatch(/ovs-system|_sys|br0/);
    for (const { namespace } of places) closeNamespace(namespace);
  });
});
