import { describe, expect, test } from 'vitest';
import type { VirtualMachineNode } from '../../../agent/api/document.ts';
import {
  consoleSocketOf,
  machineMac,
  systemCommandLine,
  systemInit,
  withoutVirtualization,
} from '../../../agent/lab/virtual-machine.ts';

const card = (name: string, ...addresses: readonly string[]) => ({
  name,
  tap: 't',
  mac: '',
  mtu: null,
  addresses,
});
const node = (settings: Partial<VirtualMachineNode> = {}): VirtualMachineNode => ({
  kind: 'vm',
  ...settings,
});

describe('what the small system is told', () => {
  test('are its name, addresses and routes as calls of ip', () => {
    const routes = [
      { to: 'default', via: '10.0.0.1' },
      { to: 'default', via: 'fd00::1', dev: 'eth0', metric: 5 },
    ];
    expect(
      systemCommandLine('vm1', node({ routes, append: 'debug' }), [
        card('eth0', '10.0.0.2/24', 'FD00:0::2/64'),
      ]),
    ).toBe(
      'console=ttyS0 quiet panic=-1 netloom.host=vm1 netloom.ip=address,add,10.0.0.2/24,dev,eth0 ' +
        'netloom.ip=address,add,fd00::2/64,dev,eth0 netloom.ip=link,set,eth0,up ' +
        'netloom.ip=route,add,0.0.0.0/0,via,10.0.0.1 ' +
        'netloom.ip=-6,route,add,::/0,via,fd00::1,dev,eth0,metric,5 debug',
    );
  });

  test('are other names of cards by way of names that none of them has', () => {
    const line = systemCommandLine('vm1', node(), [card('eth1'), card('eth0')]);
    expect(
      line
        .split('netloom.ip=')
        .slice(1, 5)
        .map((call) => call.trim()),
    ).toEqual([
      'link,set,eth0,name,nic-0',
      'link,set,eth1,name,nic-1',
      'link,set,nic-0,name,eth1',
      'link,set,nic-1,name,eth0',
    ]);
  });

  test('is read by lines without a quote that would end a word of sh', () => {
    expect(systemInit.join('')).not.toContain("'");
  });
});

describe('a machine', () => {
  test('has a MAC address of its own for each card, for one host, given locally', () => {
    const macs = ['a/b/c', 'a/b/d', 'a/e/c', 'f/b/c'].map((text) => {
      const [lab = '', name = '', interfaceName = ''] = text.split('/');
      return machineMac(lab, name, interfaceName);
    });
    expect(new Set(macs).size).toBe(4);
    for (const mac of macs) {
      expect(mac).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
      expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
    }
    // Kept: a system inside may have written it down.
    expect(machineMac('lab', 'vm1', 'eth0')).toBe('02:d1:ee:36:ea:02');
  });

  test('has a console whose path a socket can have', () => {
    expect(consoleSocketOf('l'.repeat(32), 'n'.repeat(15)).length).toBeLessThanOrEqual(107);
  });

  test('goes without KVM when asked to', () => {
    const words = ['qemu', '-accel', 'kvm', '-accel', 'tcg', '-m', '1'];
    expect(withoutVirtualization(words)).toEqual(['qemu', '-accel', 'tcg', '-m', '1']);
    expect(withoutVirtualization(['qemu'])).toEqual(['qemu']);
  });
});
