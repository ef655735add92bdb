/**
 * The machine's own Open vSwitch, in the guest: labs of the host's realm use it, on the kernel's datapath, and what somebody
 * else has in it stays as it is, whatever becomes of the labs. Run in the guest by host-ovs.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Inventory } from '../../agent/api/inventory.ts';
import { HostMachine } from '../harness/host-machine.ts';
import { waitUntil } from '../harness/netloom.ts';
import { networkDifferences, type NetworkState } from '../harness/network-state.ts';
import { ovsDifferences, type OvsState, ovsState } from '../harness/ovs-state.ts';

const directory = '/run/openvswitch';

/** A bit of everything that labs also have. */
const bystanders = `
ip link add foo-p1 type veth peer name foo-e1
ip link add foo-p2 type veth peer name foo-e2
ip link set foo-p1 up
ip link set foo-e1 up
ip link set foo-p2 up
ip link set foo-e2 up
ovs-vsctl add-br foo-br -- set bridge foo-br other-config:hwaddr=02:00:00:00:0f:00 fail_mode=secure \
  -- add-port foo-br foo-p1 tag=7 -- add-port foo-br foo-p2 trunks=7,8 \
  -- add-port foo-br foo-in -- set interface foo-in type=internal \
  -- set-controller foo-br tcp:127.0.0.1:6653 \
  -- set port foo-p1 qos=@q -- --id=@q create qos type=linux-htb other-config:max-rate=8000000 queues:1=@w \
  -- --id=@w create queue other-config:max-rate=1000000 \
  -- set bridge foo-br mirrors=@m -- --id=@i get port foo-in \
  -- --id=@m create mirror name=foo-m select_all=true output_port=@i \
  -- set bridge foo-br sflow=@s -- --id=@s create sflow targets=\\"127.0.0.1:6343\\" sampling=10
ip address add 192.0.2.1/24 dev foo-in
ip link set foo-in up
ovs-ofctl -O OpenFlow13 add-group foo-br group_id=1,type=select,bucket=output:foo-p1,bucket=output:foo-p2
ovs-ofctl -O OpenFlow13 add-meter foo-br meter=1,kbps,band=type=drop,rate=1000
ovs-ofctl -O OpenFlow13 add-flow foo-br 'priority=7,in_port=foo-p1,ip actions=meter:1,group:1'
ovs-ofctl add-flow foo-br 'priority=5,in_port=foo-p2 actions=set_queue:1,output:foo-p1'
`;

/** A switch of the machine's, and a machine of its own with another; a patch, flows, a queue, a mirror. */
const lab = (tag: number, more = ''): string => `
netloom: 1
name: guests
topology:
  nodes:
    n-sw:
      kind: ovs-bridge
      ports:
        n-a: { vlan: ${String(tag)}, qos: { maximumRate: 50mbit, queues: { 1: { maximumRate: 9mbit } } } }
        n-up: {}
        n-gw: { kind: internal, vlan: ${String(tag)}, addresses: [10.0.0.254/24] }
      flows: ['priority=3,in_port=n-up,ip actions=set_queue:1,NORMAL', 'priority=0 actions=NORMAL']
    n-s2: { kind: ovs-bridge, ports: { n-b: { vlan: ${String(tag)} }, n-dn: {} } }
    n-m: { kind: namespace }
    n-in: { kind: ovs-bridge, namespace: n-m, addresses: [10.1.0.254/24], ports: { n-c: {} } }
    n1: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.1/24] } } }
    n2: { kind: namespace, interfaces: { e0: { addresses: [10.0.0.2/24] } } }
    n3: { kind: namespace, interfaces: { e0: { addresses: [10.1.0.3/24] } } }
  links:
    - { endpoints: ['n1:e0', 'n-sw:n-a'] }
    - { endpoints: ['n2:e0', 'n-s2:n-b'] }
    - { endpoints: ['n3:e0', 'n-in:n-c'] }
    - { type: patch, endpoints: ['n-sw:n-up', 'n-s2:n-dn'] }
${more}checks:
  - { check: reach, from: n1, to: n2 }
  - { check: reach, from: n1, to: 10.0.0.254 }
  - { check: reach, from: n3, to: 10.1.0.254 }
`;

let machine: HostMachine;
let before: NetworkState;
let switched: OvsState;

const readSwitch = (): OvsState => ovsState(directory, (command) => machine.look(command));

/** What of somebody else's differs; labs may be beside it. */
function changed(): readonly string[] {
  const now = readSwitch();
  return ovsDifferences(switched, now).filter(
    (difference) =>
      !difference.includes(': nothing → ') &&
      !difference.startsWith('/tables/Open_vSwitch//bridges'),
  );
}

async function expectAsBefore(): Promise<void> {
  expect(networkDifferences(before, await machine.settledState(before))).toEqual([]);
  expect(ovsDifferences(switched, readSwitch())).toEqual([]);
}

const up = (text: string) =>
  machine.run('tester', [
    ...['up', machine.write('guests', text), '--realm', 'host', '--yes', '--replace'],
  ]);

beforeAll(async () => {
  machine = await HostMachine.open();
  // As the distribution starts it, without systemd.
  machine.script('/usr/share/openvswitch/scripts/ovs-ctl start --system-id=random');
  machine.script(bystanders);
  await machine.startAgent();
  before = machine.state();
  switched = readSwitch();
});
afterAll(async () => {
  await machine.close();
  machine.script('/usr/share/openvswitch/scripts/ovs-ctl stop');
});

describe('the machine’s Open vSwitch', () => {
  it('is there, and somebody else’s', () => {
    expect(Object.keys(switched.tables['Bridge'] ?? {})).toEqual(['foo-br']);
    expect(switched.openFlow['foo-br']?.flows).toHaveLength(2);
    expect(switched.openFlow['foo-br']?.groups).toHaveLength(1);
    expect(switched.openFlow['foo-br']?.meters).toHaveLength(1);
    expect(Object.keys(switched.tables['Controller'] ?? {})).toHaveLength(1);
  });

  it('has a lab’s bridges on the kernel’s datapath, edited and taken back, and nobody else notices', async () => {
    const came = await up(lab(10));
    expect(came.status, came.stderr + came.stdout).toBe(0);
    expect(changed()).toEqual([]);
    const shown = await machine.must('tester', ['show', '--realm', 'host', '--json']);
    const { realms } = JSON.parse(shown.stdout) as {
      readonly realms: readonly { readonly inventory: Inventory }[];
    };
    const engines = realms[0]?.inventory.engines ?? [];
    expect(engines.map(({ kind, datapath }) => `${kind} ${datapath}`).sort()).toEqual([
      'private system',
      'system system',
    ]);
    const kinds = machine.look(['ip', '-d', '-j', 'link', 'show', 'n-sw']);
    expect(kinds).toContain('"info_kind":"openvswitch"');

    const edited = await up(lab(20));
    expect(edited.status, edited.stderr).toBe(0);
    expect(machine.look(['ovs-vsctl', 'get', 'port', 'n-a', 'tag']).trim()).toBe('20');
    expect(changed()).toEqual([]);
    await machine.must('tester', ['undo', 'guests']);
    expect(machine.look(['ovs-vsctl', 'get', 'port', 'n-a', 'tag']).trim()).toBe('10');
    expect(changed()).toEqual([]);
    await machine.must('tester', ['down', 'guests']);
    await expectAsBefore();
  });

  it('refuses a lab’s bridge that is somebody else’s, and what the machine has is unchanged', async () => {
    const refused = await up(lab(10).replaceAll('n-s2', 'foo-br'));
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('foo-br');
    await expectAsBefore();
  });

  it('forgets no lab when ovs-vswitchd is killed and started as the distribution does', async () => {
    const came = await up(lab(10));
    expect(came.status, came.stderr).toBe(0);
    machine.script(
      'kill -9 $(cat /run/openvswitch/ovs-vswitchd.pid); /usr/share/openvswitch/scripts/ovs-ctl start',
    );
    // Its flows are in no database.
    await expect
      .poll(() => readSwitch().openFlow['n-sw']?.flows.join('\n'), { timeout: 120_000 })
      .toContain('set_queue:1');
    const again = await machine.must('tester', ['check', 'guests']);
    expect(again.stdout).not.toContain('✗');
    await machine.must('tester', ['down', 'guests']);
    expect(Object.keys(readSwitch().tables['Bridge'] ?? {})).toEqual(['foo-br']);
    // What somebody else had in no database went with the daemon: what follows is held against what there is now.
    before = await machine.settledState(before);
    switched = readSwitch();
  });

  it.each([
    ['in', 'kill-mid'],
    ['behind', 'kill-after'],
  ])(
    'is as before after an agent that died %s the transaction of its bridges',
    async (_, point) => {
      const file = machine.write('guests', lab(10));
      const planned = await machine.must('tester', ['plan', file, '--realm', 'host', '--json']);
      const { steps } = JSON.parse(planned.stdout) as {
        readonly steps: readonly { readonly object: string }[];
      };
      const index = steps.findIndex(({ object }) => object === 'ovs-bridge');
      const agent = await machine.startFaultyAgent(`${point}:${String(index)}`);
      const cut = await up(lab(10));
      expect(cut.status).not.toBe(0);
      const isGone = (): boolean => agent.exitCode !== null || agent.signalCode !== null;
      // Whatever else has ended the change is said.
      expect(await waitUntil(isGone, 60_000), cut.stderr + cut.stdout).toBe(true);
      expect(changed()).toEqual([]);
      // It takes the change back first.
      await machine.must('root', ['agent', 'start', '--realm', 'host'], { limit: 200_000 });
      await expectAsBefore();
      const log = machine.look(['cat', '/run/netloom/host/agent.log']).split('\n');
      expect(log.findLast((line) => line.includes('"event":"recovery"'))).toContain(
        '"outcome":"rolled-back"',
      );
    },
  );
});
