/**
 * Labs in the realm of the host, on a machine of the test's own (test/harness/host-machine.ts): by an enrolled user,
 * beside what is somebody else's. The same file runs in guests (test/emulated), which is such a machine with Debian's
 * full kernel.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LabDocument } from '../../agent/api/index.ts';
import { readDocument } from '../../agent/lab/document-text.ts';
import { networkOf } from '../../agent/lab/network.ts';
import { requirementsOf } from '../../agent/lab/requirements.ts';
import { extraGroup, HostMachine, testerHome } from '../harness/host-machine.ts';
import { gallery, ordinaryUser, waitUntil } from '../harness/netloom.ts';
import type { NetworkState } from '../harness/network-state.ts';

const isRoot = process.getuid?.() === 0;
const isGuest = process.env['NETLOOM_GUEST'] === '1';

/** What is on a machine that is in use, and is none of ours. */
const bystanders = `
ip link add veth1234 type veth peer name foo-eth1
ip link add by-br type bridge
ip link set foo-eth1 master by-br
ip link set veth1234 up
ip link set foo-eth1 up
ip link set by-br up
ip address add 192.0.2.1/24 dev by-br
ip netns add bystander
ip link add by-in type veth peer name by-out netns bystander
ip -n bystander address add 198.51.100.1/24 dev by-out
ip -n bystander link set by-out up
ip link set by-in up
ip tuntap add dev by-tap mode tap
tc qdisc add dev veth1234 root tbf rate 8mbit burst 4kb latency 50ms
nft add table inet bystander
nft add chain inet bystander c '{ type filter hook forward priority 0; policy accept; }'
nft add rule inet bystander c tcp dport 9 counter drop
ip route add 203.0.113.0/24 via 192.0.2.9
`;

/** What the machine reaches the world by: a real NIC in the guest, else one end of a pair whose other end answers. */
const nic = isGuest
  ? { name: 'eth0', address: '10.0.2.15/24', gateway: '10.0.2.2' }
  : { name: 'by-in', address: '198.51.100.2/24', gateway: '198.51.100.1' };
const wayOut = `
ip address add ${nic.address} dev ${nic.name}
ip link set ${nic.name} up
ip route add default via ${nic.gateway}
`;

/** What the machine's own kernel has for links; the guest has the labs that need more. */
const usual: ReadonlySet<string> = new Set([
  ...['link:bridge', 'link:veth', 'link:tap', 'link:tun', 'link:vxlan'],
  ...['queueing:tbf', 'program:nft', 'program:socat'],
]);
function hasMachine(document: LabDocument): boolean {
  return Object.values(document.topology.nodes).some(({ kind }) => kind === 'vm');
}

const galleryLabs = readdirSync(gallery)
  .filter((name) => name.endsWith('.yaml'))
  .filter((name) => {
    const { document } = readDocument(readFileSync(path.join(gallery, name), 'utf8'));
    if (document === null) return true;
    // Refused, see below.
    if (hasMachine(document)) return false;
    // Their groups would be the machine's own, which are no test's: test/kernel/cpu-gallery.test.ts has its own.
    if (document.cpu !== undefined) return false;
    const needs = requirementsOf(networkOf(document));
    // In a boot of their own, with the machine's Open vSwitch (test/guest/host-ovs.test.ts).
    if (needs.some(({ capability }) => capability === 'program:ovs-vswitchd')) return false;
    const isUsual = needs.every(({ capability }) => usual.has(capability));
    return isGuest ? !isUsual || name === 'nat.yaml' : isUsual;
  })
  .map((name) => name.replace(/\.yaml$/, ''))
  .sort();

const pair = (name: string, letter: string, subnet: string): string => `netloom: 1
name: ${name}
topology:
  nodes:
    ${letter}1: { kind: namespace, interfaces: { ${letter}-e1: { addresses: [${subnet}.1/24] } } }
    ${letter}2: { kind: namespace, interfaces: { ${letter}-e2: { addresses: [${subnet}.2/24] } } }
    ${letter}-br: { kind: bridge }
  links:
    - { endpoints: ['${letter}1:${letter}-e1', '${letter}-br:${letter}-p1'] }
    - { endpoints: ['${letter}2:${letter}-e2', '${letter}-br:${letter}-p2'] }
checks:
  - { check: reach, from: ${letter}1, to: ${letter}2 }
`;

/** Shows as whom and with what it runs, then stays. */
const witness = `netloom: 1
name: witness
topology:
  nodes:
    w1:
      kind: namespace
      run:
        - name: look
          command:
            - sh
            - -c
            - 'cat /proc/self/status; id -G; pwd; ls -l /proc/self/fd; echo "$HOME"; exec sleep 600'
`;

const noCapabilities = '0000000000000000';

/** Value of a line of /proc/PID/status. */
function field(status: string, name: string): string {
  return (
    new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim().replaceAll(/\s+/g, ' ') ?? ''
  );
}

describe.skipIf(!isRoot)('the host realm', () => {
  let machine: HostMachine;
  let before: NetworkState;

  beforeAll(async () => {
    machine = await HostMachine.open();
    machine.script(bystanders);
    machine.script(wayOut);
    machine.begin(['ip', 'netns', 'exec', 'bystander', 'sleep', '3601']);
    await waitUntil(() => machine.try(['ip', 'netns', 'pids', 'bystander']).stdout !== '');
    before = machine.state();
    await machine.startAgent();
  });
  afterAll(async () => {
    await machine.close();
  });

  const up = (file: string, ...more: string[]) =>
    machine.run('tester', ['up', file, '--realm', 'host', '--yes', ...more]);

  async function expectAsBefore(): Promise<void> {
    expect(await machine.settledState(before)).toEqual(before);
  }

  const pidOf = (command: string): string =>
    machine.try(['pgrep', '-f', '-x', command]).stdout.trim();

  it('is as it was with an agent that has only started', async () => {
    await expectAsBefore();
    expect(machine.look(['stat', '-c', '%a %u', '/var/lib/netloom'])).toBe('700 0\n');
    expect(machine.look(['stat', '-c', '%a %u', '/run/netloom/host'])).toBe('711 0\n');
  });

  it('keeps its NIC, with address and way out, in use meanwhile', async () => {
    const ping = (): number | null =>
      machine.try(['ping', '-c', '1', '-W', '5', nic.gateway]).status;
    expect(ping()).toBe(0);
    const came = await up(machine.write('first', pair('first', 'f', '10.77.1')));
    expect(came.status, came.stderr).toBe(0);
    expect(ping()).toBe(0);
    const taker = `netloom: 1\nname: taker\ntopology:\n  nodes:\n    ${nic.name}: { kind: bridge }\n`;
    const refused = await up(machine.write('taker', taker));
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain(nic.name);
    await machine.must('tester', ['down', 'first']);
    expect(ping()).toBe(0);
    await expectAsBefore();
  });

  it.each(galleryLabs)(
    'brings the lab %s up, and takes it down again without a trace',
    async (lab) => {
      const file = machine.galleryFile(lab);
      const came = await up(file);
      expect(came.status, came.stderr + came.stdout).toBe(0);
      expect(came.stdout).toContain('is up in host');
      const listed = await machine.must('tester', ['list', '--json']);
      expect(JSON.parse(listed.stdout)).toMatchObject({
        labs: expect.arrayContaining([expect.objectContaining({ name: lab, realm: 'host' })]),
      });
      await machine.must('tester', ['down', lab]);
      await expectAsBefore();
    },
  );

  it('refuses a virtual machine before anything happens', async () => {
    const refused = await up(machine.galleryFile('virtual-machine'));
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('those run in sandboxes only');
    await expectAsBefore();
  });

  it('holds several labs, each of which goes without the others', async () => {
    const first = machine.write('first', pair('first', 'f', '10.77.1'));
    const second = machine.write('second', pair('second', 's', '10.77.2'));
    const one = await up(first);
    expect(one.status, one.stderr).toBe(0);
    const withFirst = machine.state();
    const two = await up(second);
    expect(two.status, two.stderr).toBe(0);
    await machine.must('tester', ['down', 'second']);
    expect(await machine.settledState(withFirst)).toEqual(withFirst);
    await machine.must('root', ['down', 'first']);
    await expectAsBefore();
  });

  describe('a name that is taken', () => {
    const nothing = (nodes: string): string =>
      `netloom: 1\nname: taker\ntopology:\n  nodes:\n${nodes}`;

    it.each([
      ['a namespace', 'bystander', '    bystander: { kind: namespace }\n'],
      ['a bridge', 'by-br', '    by-br: { kind: bridge }\n'],
      ['one end of a pair', 'veth1234', '    veth1234: { kind: bridge }\n'],
      ['its other end', 'foo-eth1', '    foo-eth1: { kind: bridge }\n'],
      ['a tap', 'by-tap', '    by-tap: { kind: bridge }\n'],
    ])('of %s is refused before anything happens', async (_what, name, nodes) => {
      const file = machine.write('taker', nothing(`    fresh: { kind: namespace }\n${nodes}`));
      const refused = await up(file);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain(name);
      expect(machine.state()).toEqual(before);
    });

    it('by another lab is refused, and that lab goes on', async () => {
      const first = await up(machine.write('first', pair('first', 'f', '10.77.1')));
      expect(first.status, first.stderr).toBe(0);
      const withFirst = machine.state();
      const other = await up(machine.write('other', pair('other', 'f', '10.77.3')));
      expect(other.status).toBe(1);
      expect(other.stderr).toContain('first');
      expect(machine.state()).toEqual(withFirst);
      await machine.must('tester', ['down', 'first']);
      await expectAsBefore();
    });
  });

  describe('a process of a lab', () => {
    const log = '/var/lib/netloom/logs/witness/w1.look.log';

    it('runs as the person who applied, without a capability and a way to one', async () => {
      const came = await up(machine.write('witness', witness));
      expect(came.status, came.stderr).toBe(0);
      await waitUntil(() => machine.look(['cat', log]).includes(testerHome));
      const said = machine.look(['cat', log]);
      const user = String(ordinaryUser);
      expect(field(said, 'Uid')).toBe(`${user} ${user} ${user} ${user}`);
      expect(field(said, 'Gid')).toBe(`${user} ${user} ${user} ${user}`);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect([set, field(said, set)]).toEqual([set, noCapabilities]);
      }
      expect(field(said, 'NoNewPrivs')).toBe('1');
      expect(said).toContain(`\n${user} ${extraGroup}\n`);
      expect(said).toContain('\n/\n');
      // Nothing of the agent's own is handed on: input, output, errors, and the folder that `ls` reads.
      const descriptors = [...said.matchAll(/ (?<number>\d+) -> /g)].map((match) => match[1]);
      expect(descriptors, said).toEqual(['0', '1', '2', '3']);
      expect(said).toMatch(/ 3 -> \/proc\/\d+\/fd$/m);
    });

    it('has a log that is theirs, in a folder that is not', () => {
      expect(machine.look(['stat', '-c', '%a %u', log])).toBe(`600 ${ordinaryUser}\n`);
      expect(machine.try(machine.asTester(['cat', log])).status).not.toBe(0);
    });

    it('is known again, and ends with its lab', async () => {
      const again = await machine.must('tester', ['plan', machine.write('witness', witness)]);
      expect(again.stdout).not.toContain('look in w1');
      expect(pidOf('sleep 600')).not.toBe('');
      await machine.must('tester', ['down', 'witness']);
      expect(pidOf('sleep 600')).toBe('');
      await expectAsBefore();
    });

    it('is refused to root, who is told what to do', async () => {
      const file = machine.write('witness', witness);
      const refused = await machine.run('root', ['up', file, '--realm', 'host', '--yes']);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain('would run as root');
      expect(refused.stderr).toContain('netloom agent enrol');
      await expectAsBefore();
    });

    it('stays theirs when somebody else’s change is rolled back', async () => {
      await machine.startFaultyAgent('');
      const came = await up(machine.write('witness', witness));
      expect(came.status, came.stderr).toBe(0);
      const agent = await machine.startFaultyAgent('fail-verify');
      const failed = await machine.run('root', ['down', 'witness']);
      expect(failed.status).toBe(1);
      expect(failed.stderr).toContain('as it was before');
      await waitUntil(() => pidOf('sleep 600') !== '');
      const status = machine.look(['cat', `/proc/${pidOf('sleep 600')}/status`]);
      expect(field(status, 'Uid').split(' ')[0]).toBe(String(ordinaryUser));
      expect(field(status, 'NoNewPrivs')).toBe('1');
      agent.kill();
      await machine.run('root', ['agent', 'stop', '--realm', 'host']);
      await machine.must('root', ['agent', 'start', '--realm', 'host']);
      await machine.must('tester', ['down', 'witness']);
      expect(pidOf('sleep 600')).toBe('');
      await expectAsBefore();
    });

    it('is not what merely bears its mark: neither a set-uid program nor another’s is ended', async () => {
      const came = await up(machine.write('witness', witness));
      expect(came.status, came.stderr).toBe(0);
      machine.script(
        'cp /bin/sleep /var/lib/set-uid-sleep && chmod 4755 /var/lib/set-uid-sleep && chmod 755 /var/lib',
      );
      const mark = 'NETLOOM_RUN=witness/w1/look';
      const bearer = machine.begin(
        machine.asTester(['env', mark, '/var/lib/set-uid-sleep', '3602']),
      );
      const other = machine.begin([
        ...['setpriv', '--reuid', '65534', '--clear-groups', '--no-new-privs', '--'],
        ...['env', mark, 'sleep', '3603'],
      ]);
      await waitUntil(() => pidOf('/var/lib/set-uid-sleep 3602') !== '');
      await waitUntil(() => pidOf('sleep 3603') !== '');
      const pid = pidOf('/var/lib/set-uid-sleep 3602');
      expect(field(machine.look(['cat', `/proc/${pid}/status`]), 'Uid')).toContain(' 0 ');
      await machine.must('tester', ['down', 'witness']);
      expect(pidOf('/var/lib/set-uid-sleep 3602')).toBe(pid);
      const others = pidOf('sleep 3603');
      expect(others).not.toBe('');
      machine.look(['kill', pid, others]);
      bearer.kill();
      other.kill();
      await expectAsBefore();
    });

    it('says nothing of a program in a folder that is closed to the person', async () => {
      machine.script('mkdir -m 700 /var/lib/closed && cp /bin/true /var/lib/closed/program');
      const lab = (program: string): string =>
        `netloom: 1\nname: spy\ntopology:\n  nodes:\n    spy1: { kind: namespace, run: [{ name: x, command: [${program}] }] }\n`;
      const said = async (program: string): Promise<string> => {
        const result = await up(machine.write('spy', lab(program)));
        expect(result.status).toBe(1);
        return result.stderr.replaceAll(program, 'PROGRAM');
      };
      expect(await said('/var/lib/closed/program')).toBe(await said('/var/lib/closed/absent'));
      await expectAsBefore();
    });
  });

  describe('the relay of a tunnel', () => {
    it.each(['tester', 'root'] as const)('by %s runs without root’s rights', async (who) => {
      const file = machine.galleryFile('tap-tunnel');
      const came = await machine.run(who, ['up', file, '--realm', 'host', '--yes']);
      expect(came.status, came.stderr + came.stdout).toBe(0);
      const pids = machine.look(['pgrep', '-x', 'socat']).trim().split('\n');
      expect(pids).toHaveLength(2);
      for (const pid of pids) {
        const status = machine.look(['cat', `/proc/${pid}/status`]);
        const uid = who === 'tester' ? ordinaryUser : 65_534;
        expect(field(status, 'Uid')).toBe(`${uid} ${uid} ${uid} ${uid}`);
        expect(field(status, 'CapEff')).toBe(noCapabilities);
        expect(field(status, 'CapBnd')).toBe(noCapabilities);
      }
      await machine.must(who, ['down', 'tap-tunnel']);
      await expectAsBefore();
    });
  });

  describe('a console', () => {
    const inNode = (...command: string[]) =>
      machine.run('tester', ['exec', 'first', 'f1', '--', ...command]);

    beforeAll(async () => {
      const came = await up(machine.write('first', pair('first', 'f', '10.77.1')));
      expect(came.status, came.stderr).toBe(0);
    });
    afterAll(async () => {
      await machine.must('tester', ['down', 'first']);
      await expectAsBefore();
    });

    it('in a node is the person’s own, in its namespace', async () => {
      const status = (await inNode('cat', '/proc/self/status')).stdout;
      expect(field(status, 'Uid').split(' ')).toEqual(Array(4).fill(String(ordinaryUser)));
      expect(field(status, 'CapEff')).toBe(noCapabilities);
      expect(field(status, 'CapInh')).toBe(noCapabilities);
      expect((await inNode('id', '-G')).stdout).toBe(`${ordinaryUser} ${extraGroup}\n`);
      expect((await inNode('ip', '-j', 'address', 'show')).stdout).toContain('10.77.1.1');
      expect((await inNode('pwd')).stdout).toBe(`${testerHome}\n`);
      expect((await inNode('sh', '-c', 'echo $HOME $USER')).stdout).toBe(`${testerHome} tester\n`);
    });

    it('gives no rights over the network of the node, or of the machine', async () => {
      expect((await inNode('ip', 'link', 'set', 'lo', 'down')).status).not.toBe(0);
      const own = await machine.run('tester', [
        ...['exec', 'first', '-', '--', 'ip', 'link', 'delete', 'by-br'],
      ]);
      expect(own.status).not.toBe(0);
      expect(machine.try(['ip', 'link', 'show', 'by-br']).status).toBe(0);
    });

    it('by root is root’s', async () => {
      const said = await machine.must('root', ['exec', 'first', 'f1', '--', 'id', '-u']);
      expect(said.stdout).toBe('0\n');
    });

    it('does not stand in a folder that is closed to the person', async () => {
      // What root could go to and they cannot: their home, if that were a link to such a folder.
      machine.script(`
mkdir -m 700 /var/lib/closed2 && mkdir /var/lib/closed2/inner
echo secret >/var/lib/closed2/inner/file && chmod 644 /var/lib/closed2/inner/file
mv ${testerHome} ${testerHome}.kept && ln -s /var/lib/closed2/inner ${testerHome}`);
      try {
        const said = machine.try(
          machine.asTester([
            'env',
            `HOME=${testerHome}.kept`,
            `XDG_RUNTIME_DIR=${testerHome}.kept/run`,
            ...machine.command(['exec', 'first', 'f1', '--', 'cat', './file']),
          ]),
        );
        expect(said.stdout).not.toContain('secret');
        expect(said.status).not.toBe(0);
      } finally {
        machine.script(`rm ${testerHome} && mv ${testerHome}.kept ${testerHome}`);
      }
    });

    it('does not enter a namespace that somebody has put in the node’s place', async () => {
      machine.script('ip -n f1 link set lo alias ""');
      const refused = await inNode('true');
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain('may be somebody else’s');
      machine.script('ip -n f1 link set lo alias netloom:first');
      await waitUntil(async () => (await inNode('true')).status === 0);
    });
  });

  describe('an agent that is killed in a change', () => {
    it.each(['kill-after:3', 'kill-mid:1', 'kill-before-verify'])(
      'at %s leaves it as it was, or as it was asked',
      async (fault) => {
        const agent = await machine.startFaultyAgent(fault);
        const file = machine.write('first', pair('first', 'f', '10.77.1'));
        const cut = await up(file);
        expect(cut.status).not.toBe(0);
        if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
        await machine.must('root', ['agent', 'start', '--realm', 'host']);
        const plan = await machine.must('tester', ['plan', file, '--realm', 'host', '--json']);
        const { steps } = JSON.parse(plan.stdout) as { readonly steps: readonly unknown[] };
        if (steps.length > 0) await expectAsBefore();
        const done = await up(file);
        expect(done.status, done.stderr).toBe(0);
        await machine.must('tester', ['down', 'first']);
        await expectAsBefore();
      },
    );
  });

  describe('the uplink of a bridge', () => {
    const lab = `netloom: 1
name: way-out
topology:
  nodes:
    br-ex: { kind: bridge, uplink: ${nic.name} }
`;
    const reaches = (): boolean =>
      machine.try(['ping', '-c', '1', '-W', '5', nic.gateway]).status === 0;
    const addressesOf = (name: string): string =>
      machine.try(['ip', '-j', 'address', 'show', 'dev', name]).stdout;
    const [host = ''] = nic.address.split('/');

    it('is the machine’s NIC, and stays once it is confirmed', async () => {
      const came = await up(machine.write('way-out', lab), '--confirm-within', '600');
      expect(came.status, came.stderr).toBe(0);
      const confirmed = await machine.run('tester', ['confirm', 'way-out']);
      expect(confirmed.status, confirmed.stderr).toBe(0);
      expect(addressesOf('br-ex')).toContain(host);
      expect(addressesOf(nic.name)).not.toContain(host);
      // A port that is new at a bridge waits for its forward delay only with STP.
      expect(await waitUntil(reaches)).toBe(true);
      await machine.must('tester', ['undo', 'way-out']);
      await expectAsBefore();
      expect(await waitUntil(reaches)).toBe(true);
    });

    it('goes back by its deadline when nobody confirms it, also without an agent', async () => {
      const came = await up(machine.write('way-out', lab), '--confirm-within', '5', '--json');
      expect(came.status, came.stderr).toBe(0);
      machine.look(['kill', '-9', String(await machine.agentPid())]);
      const isBack = (): boolean => JSON.stringify(machine.state()) === JSON.stringify(before);
      await waitUntil(isBack, 60_000);
      expect(machine.state()).toEqual(before);
      expect(await waitUntil(reaches)).toBe(true);
      await machine.must('root', ['agent', 'start', '--realm', 'host']);
      expect((await machine.run('tester', ['confirm', 'way-out'])).status).not.toBe(0);
      await expectAsBefore();
    });
  });

  it('warns where the machine’s firewall would drop what crosses a bridge, and leaves it as it is', async () => {
    const setting = '/proc/sys/net/bridge/bridge-nf-call-iptables';
    if (machine.try(['test', '-e', setting]).status !== 0) {
      throw new Error('This kernel has no br_netfilter: nothing is tested.');
    }
    machine.script(`echo 1 >${setting}
nft add table inet fw
nft add chain inet fw forward '{ type filter hook forward priority 0; policy drop; }'`);
    try {
      const file = machine.write('first', pair('first', 'f', '10.77.1'));
      const planned = await machine.must('tester', ['plan', file, '--realm', 'host', '--json']);
      const { warnings } = JSON.parse(planned.stdout) as {
        readonly warnings: readonly { readonly code: string; readonly sentence: string }[];
      };
      const filtered = warnings.filter(({ code }) => code === 'bridge-filtered');
      expect(filtered).toHaveLength(1);
      expect(filtered[0]?.sentence).toContain('inet fw forward');
      expect(machine.look(['cat', setting])).toBe('1\n');
    } finally {
      machine.script('nft delete table inet fw');
    }
    const calm = await machine.must('tester', [
      ...['plan', machine.write('first', pair('first', 'f', '10.77.1'))],
      ...['--realm', 'host', '--json'],
    ]);
    expect(calm.stdout).not.toContain('bridge-filtered');
  });

  it('is not the tester’s to stop, start or enrol for', async () => {
    for (const verb of [
      ['agent', 'stop', '--realm', 'host'],
      ['agent', 'enrol', 'tester'],
    ]) {
      const refused = await machine.run('tester', verb);
      expect([verb, refused.status === 0]).toEqual([verb, false]);
    }
    expect((await machine.run('root', ['agent', 'status', '--realm', 'host'])).status).toBe(0);
  });

  it('is captured by who is enrolled, on what they ask for and nothing else', async () => {
    const words = ['capture', '--realm', 'host', nic.name, '-f', 'icmp', '-c', '4', '--json'];
    let over = false;
    const running = machine.run('tester', words).finally(() => (over = true));
    while (!over) {
      // By the loopback, which is not asked for.
      machine.try(['ping', '-c', '1', '-W', '1', '192.0.2.1']);
      machine.try(['ping', '-c', '1', '-W', '5', nic.gateway]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { status, stdout, stderr } = await running;
    expect(status, stderr).toBe(0);
    const packets = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { interface: string; source: string });
    expect(packets.length).toBe(4);
    const [own = ''] = nic.address.split('/');
    expect(new Set(packets.map((packet) => packet.interface))).toEqual(new Set([nic.name]));
    expect(packets.every(({ source }) => source === own || source === nic.gateway)).toBe(true);
    await machine.must('root', ['agent', 'revoke', 'tester']);
    const refused = await machine.run('tester', words);
    expect([refused.status, refused.stdout.includes('"source"')]).toEqual([3, false]);
    await machine.must('root', ['agent', 'enrol', 'tester']);
    await expectAsBefore();
  });

  it('is only looked at by an agent that is started so', async () => {
    await machine.must('root', ['agent', 'stop', '--realm', 'host']);
    await machine.must('root', ['agent', 'start', '--realm', 'host', '--read-only']);
    const refused = await up(machine.write('first', pair('first', 'f', '10.77.1')));
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('look only');
    await expectAsBefore();
    await machine.must('root', ['agent', 'stop', '--realm', 'host']);
    await machine.must('root', ['agent', 'start', '--realm', 'host']);
  });

  it('without an agent refuses to plan, and says who starts it', async () => {
    await machine.must('root', ['agent', 'stop', '--realm', 'host']);
    const file = machine.write('first', pair('first', 'f', '10.77.1'));
    const refused = await machine.run('tester', ['plan', file, '--realm', 'host']);
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain('netloom agent start --realm host');
    await expectAsBefore();
  });
});
