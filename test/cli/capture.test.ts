/** watch and capture: what the commands say of a lab that is used, beside what was sent and what tshark reads. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PacketJson } from '../../agent/dissect/packet-json.ts';
import { type CommandResult, Netloom, ordinaryUser } from '../harness/netloom.ts';
import { runTshark } from '../harness/tshark.ts';

interface Running {
  /** Resolves when a line like this was said on standard error. */
  readonly said: (what: RegExp) => Promise<void>;
  readonly interrupt: () => void;
  readonly ended: Promise<CommandResult>;
}

function start(netloom: Netloom, args: readonly string[]): Running {
  const child = netloom.start(args);
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close').then(([status]) => ({
    status: status as number | null,
    stdout,
    stderr,
  }));
  return {
    said: async (what) => {
      const over = ended.then(() => true);
      while (!what.test(stderr)) {
        const pause = new Promise<false>((resolve) => setTimeout(resolve, 20, false));
        if (await Promise.race([over, pause])) {
          if (!what.test(stderr)) throw new Error(`not said: ${stderr}${stdout}`);
        }
      }
    },
    interrupt: () => {
      child.kill('SIGINT');
    },
    ended,
  };
}

function lines<T>(text: string): readonly T[] {
  return text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** Columns of what tshark reads. */
function columns(file: string, ...fields: readonly string[]): readonly (readonly string[])[] {
  const words = fields.flatMap((field) => ['-e', field]);
  return runTshark(['-r', file, '-n', '-T', 'fields', ...words])
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
}

const people = [
  { who: 'whoever runs the tests', user: process.getuid?.() ?? 0 },
  ...(process.getuid?.() === 0 ? [{ who: 'an ordinary user', user: ordinaryUser }] : []),
];

describe.each(people)('as $who', ({ user }) => {
  let netloom: Netloom;

  beforeAll(async () => {
    netloom = new Netloom({ user });
    for (const lab of ['two-namespaces', 'tap-tunnel', 'tun-tunnel']) {
      await netloom.must(['up', gallery(lab), '--yes']);
    }
  }, 120_000);
  afterAll(async () => {
    await netloom.dispose();
  });

  const gallery = (lab: string): string =>
    path.join(netloom.installation.root, 'assets/labs', `${lab}.yaml`);
  const ping = (lab: string, from: string, to: string, count: number): Promise<CommandResult> =>
    netloom.must([
      ...['exec', lab, from, '--'],
      ...['ping', '-q', '-c', String(count), '-i', '0.05', to],
    ]);

  /** A capture of what comes while `act` runs, ended when it has. */
  async function during(
    args: readonly string[],
    act: () => Promise<unknown>,
  ): Promise<CommandResult> {
    const running = start(netloom, ['capture', ...args]);
    await running.said(/capturing on/);
    await act();
    running.interrupt();
    return running.ended;
  }

  it('prints a line a packet, with where it was, and says what was dropped', async () => {
    const said = await during(['two-namespaces', 'r1', 'r2', '-f', 'icmp'], () =>
      ping('two-namespaces', 'r1', '172.16.0.2', 2),
    );
    expect(said.status).toBe(0);
    expect(said.stderr).toMatch(/^capturing on r1:.*veth1\.1, .*r2:veth1\.2.*; Ctrl-C ends it$/m);
    expect(said.stderr).toMatch(/^8 packets captured, 0 dropped by the kernel$/m);
    const shown = said.stdout.trim().split('\n');
    expect(shown.length).toBe(8);
    for (const line of shown) {
      expect(line).toMatch(
        /^r[12]:veth1\.[12] +\d+ +\d+\.\d{6} {2}172\.16\.0\.[12] → 172\.16\.0\.[12] {2}ICMP {2}98 {2}Echo (?:request|reply), id/,
      );
    }
  }, 60_000);

  it('ends by itself after as many packets as are asked for, as JSON too', async () => {
    const running = start(netloom, [
      ...['capture', 'two-namespaces', 'r2:veth1.2', '-f', 'icmp', '-c', '3', '--json'],
    ]);
    await running.said(/capturing on r2:veth1\.2; /);
    await ping('two-namespaces', 'r1', '172.16.0.2', 4);
    const { status, stdout, stderr } = await running.ended;
    expect([status, stderr.match(/\d+ packets captured/)?.[0]]).toEqual([0, '3 packets captured']);
    const packets = lines<PacketJson>(stdout);
    expect(
      packets.map((packet) => [packet.number, packet.interface, packet.source, packet.protocol]),
    ).toEqual([
      [1, 'r2:veth1.2', '172.16.0.1', 'ICMP'],
      [2, 'r2:veth1.2', '172.16.0.2', 'ICMP'],
      [3, 'r2:veth1.2', '172.16.0.1', 'ICMP'],
    ]);
  }, 60_000);

  it('writes a file that tshark reads: the inner packets on the taps, the outer ones below', async () => {
    const file = path.join(netloom.home, 'tap.pcapng');
    const said = await during(
      ['tap-tunnel', 'west', 'east:tap0', '-f', 'icmp or udp port 5555', '-w', file],
      async () => {
        expect(existsSync(file)).toBe(false);
        await ping('tap-tunnel', 'west', '10.30.0.2', 3);
      },
    );
    expect([said.status, said.stdout]).toEqual([0, '']);
    expect(existsSync(`${file}.part`)).toBe(false);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const packets = columns(file, 'frame.interface_name', 'icmp.type', 'udp.port');
    const seen = (name: string, type: string): number =>
      packets.filter((one) => one[0] === name && one[1] === type).length;
    for (const name of ['west:tap0', 'east:tap0']) {
      expect([name, seen(name, '8'), seen(name, '0')]).toEqual([name, 3, 3]);
    }
    const outer = packets.filter(([name, , ports]) => name === 'west:eth0' && ports !== '');
    // Neighbour discovery crosses the cable, too.
    expect(outer.length).toBeGreaterThanOrEqual(6);
    expect(
      packets.every(([name]) => /^(?:west:(?:tap0|eth0|lo)|east:tap0)$/.test(name ?? '')),
    ).toBe(true);
    expect(said.stderr).toContain(`${String(packets.length)} packets captured, 0 dropped`);
    // What the outer packet carries is the inner frame, byte for byte.
    const payloads = columns(file, 'frame.interface_name', 'udp.payload')
      .filter(([name, payload]) => name === 'west:eth0' && payload !== undefined)
      .map(([, payload = '']) => payload.replaceAll(':', ''));
    const reader = runTshark([
      '-r',
      file,
      '-Y',
      'icmp.type == 8 && frame.interface_name == "west:tap0"',
      '-x',
    ]);
    const first = reader.split('\n\n')[0] ?? '';
    const inner = first
      .split('\n')
      .map((line) => line.slice(6, 54).replaceAll(/[^0-9a-f]/g, ''))
      .join('');
    expect(inner.length).toBe(98 * 2);
    expect(payloads.some((payload) => payload.includes(inner))).toBe(true);
  }, 90_000);

  it('says who talked to whom when it ends, as a table, JSON and comma-separated values', async () => {
    const ask = (...form: string[]): Promise<CommandResult> =>
      during(['two-namespaces', 'r1', '-f', 'icmp', '--flows', ...form], () =>
        ping('two-namespaces', 'r1', '172.16.0.2', 3),
      );
    const table = await ask();
    expect(table.stdout).toMatch(/^NAMESPACE +PROTOCOL +FIRST +SECOND +PACKETS +BYTES/);
    expect(table.stdout).toMatch(/^r1 +icmp +172\.16\.0\.1 +172\.16\.0\.2 +6 +588$/m);
    const [flow] = lines<{
      readonly namespace: string;
      readonly packets: number;
      readonly interfaces: readonly string[];
    }>((await ask('--json')).stdout);
    expect(flow).toMatchObject({ namespace: 'r1', packets: 6, interfaces: ['r1:veth1.1'] });
    const [head = '', row = ''] = (await ask('--csv')).stdout.split('\r\n');
    const cells = new Map(head.split(',').map((name, at) => [name, row.split(',')[at]]));
    expect(cells.get('first end')).toBe('172.16.0.1');
    expect(cells.get('bytes of the second')).toBe(String(3 * 98));
    expect(cells.get('interfaces')).toBe('r1:veth1.1');
    expect(Date.parse(cells.get('last seen') ?? '')).toBeGreaterThan(Date.now() - 60_000);
  }, 90_000);

  it('names the processes behind a connection that is there when it ends', async () => {
    const lasting = async (node: string, text: string): Promise<() => Promise<unknown>> => {
      const words = ['exec', 'two-namespaces', node, '--', process.execPath, '-e', text];
      const child = netloom.start(words);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      return () => {
        const gone = once(child, 'close');
        child.kill('SIGINT');
        return gone;
      };
    };
    const ready = `() => console.log('ready')`;
    const server = `require('net').createServer(() => {}).listen(8080, '172.16.0.2', ${ready})`;
    const client = `require('net').connect({ host: '172.16.0.2', port: 8080 }, ${ready})`;
    const ends: (() => Promise<unknown>)[] = [];
    const said = await during(
      ['two-namespaces', 'r1', 'r2', '-f', 'tcp port 8080', '--flows', '--csv'],
      async () => {
        ends.push(await lasting('r2', server), await lasting('r1', client));
      },
    );
    for (const end of ends) await end();
    const [head = '', ...rows] = said.stdout.trimEnd().split('\r\n');
    const flows = rows.map((row) => {
      const cells = row.split(',');
      return new Map(head.split(',').map((name, at) => [name, cells[at]]));
    });
    // Each namespace knows the process of its own end.
    for (const [namespace, here, there] of [
      ['r1', 'first', 'second'],
      ['r2', 'second', 'first'],
    ] as const) {
      const flow = flows.find((each) => each.get('namespace') === namespace);
      expect(flow?.get(`process of the ${here}`)).toMatch(/^node/);
      expect(Number(flow?.get(`pid of the ${here}`))).toBeGreaterThan(1);
      expect(flow?.get(`process of the ${there}`)).toBe('');
    }
  }, 60_000);

  it('is read along by another program from standard output', async () => {
    const words = ['capture', 'two-namespaces', 'r1', '-f', 'icmp', '-w', '-', '-c', '4'];
    const child = netloom.start(words);
    // A pipe of the shell's: Node's are sockets, which tshark does not read.
    const shark = spawn('sh', ['-c', 'cat | tshark -l -r - -T fields -e icmp.type'], {
      env: { ...process.env, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent' },
    });
    let read = '';
    shark.stdout.setEncoding('utf8').on('data', (text: string) => (read += text));
    child.stdout?.pipe(shark.stdin);
    const begun = new Promise((resolve) => child.stderr?.once('data', resolve));
    const ended = [once(child, 'close'), once(shark, 'close')];
    await begun;
    await ping('two-namespaces', 'r1', '172.16.0.2', 2);
    expect((await Promise.all(ended)).map(([status]) => status as number)).toEqual([0, 0]);
    expect(read.trim().split('\n')).toEqual(['8', '0', '8', '0']);
  }, 60_000);

  it('has packets of a tun as they are there: IP alone', async () => {
    const file = path.join(netloom.home, 'tun.pcapng');
    await during(['tun-tunnel', 'west:tun0', 'west:lan0', '-f', 'icmp', '-w', file], () =>
      ping('tun-tunnel', 'desk', '192.168.20.10', 2),
    );
    const packets = columns(
      file,
      ...['frame.interface_name', 'frame.protocols', 'icmp.type', 'ip.ttl'],
    );
    expect(
      packets
        .filter(([name]) => name === 'west:tun0')
        .map(([, protocols, type]) => [protocols?.replace(/:data$/, ''), type]),
    ).toEqual([
      ['raw:ip:icmp', '8'],
      ['raw:ip:icmp', '0'],
      ['raw:ip:icmp', '8'],
      ['raw:ip:icmp', '0'],
    ]);
    expect(packets.filter(([name]) => name === 'west:lan0').length).toBe(4);
  }, 60_000);

  it('says what is wrong with a place, a filter or a file, and leaves none behind', async () => {
    const file = path.join(netloom.home, 'none.pcapng');
    const cases: readonly (readonly [readonly string[], RegExp, number])[] = [
      [['two-namespaces', 'r9'], /has no node r9/, 2],
      [['two-namespaces', 'r1:eth7'], /r1 has no interface eth7/, 2],
      [['two-namespaces', 'r1', '-f', 'host and'], /syntax error/, 2],
      [['two-namespaces', 'r1', '-w', path.join(netloom.home, 'no/such/file')], /no such file/i, 2],
      [['two-namespaces', 'r1', '-f', 'icmp', '-w', '/dev/full'], /disk is full/, 1],
    ];
    for (const [args, what, status] of cases) {
      const words = args.includes('-w') ? args : [...args, '-w', file];
      const running = start(netloom, ['capture', ...words]);
      const result = await running.ended;
      expect([args, result.status, what.test(result.stderr) ? '' : result.stderr]).toEqual([
        args,
        status,
        '',
      ]);
    }
    for (const name of [file, `${file}.part`]) expect(existsSync(name)).toBe(false);
  }, 60_000);

  it('says so when what it captures on goes away', async () => {
    await netloom.must(['up', gallery('one-bridge'), '--yes']);
    const running = start(netloom, ['capture', 'one-bridge', '-f', 'icmp']);
    await running.said(/capturing on/);
    await netloom.must(['down', 'one-bridge']);
    const { status, stderr } = await running.ended;
    expect([status === 0, stderr]).toEqual([false, expect.stringMatching(/gone|no longer|ended/)]);
  }, 90_000);

  it('keeps what it has when the agent ends, and says so', async () => {
    await netloom.must(['up', gallery('one-bridge'), '--yes']);
    const file = path.join(netloom.home, 'ended.pcapng');
    const running = start(netloom, ['capture', 'one-bridge', 'h1', 'h2', '-f', 'icmp', '-w', file]);
    await running.said(/capturing on/);
    await ping('one-bridge', 'h1', '10.0.0.2', 2);
    // What comes is fetched at once.
    await expect.poll(() => statSync(`${file}.part`).size).toBeGreaterThan(8 * 98);
    await netloom.must(['agent', 'stop', '--realm', 'sandbox:one-bridge']);
    const { status, stderr } = await running.ended;
    expect([status === 0, stderr]).toEqual([false, expect.stringMatching(/error: .*agent/)]);
    expect(columns(file, 'icmp.type').length).toBeGreaterThanOrEqual(4);
    await netloom.must(['down', 'one-bridge']);
  }, 120_000);

  it('watches what interfaces of a lab receive and send', async () => {
    const running = start(netloom, [
      ...['watch', 'two-namespaces', '--every', '200', '-c', '12', '--json'],
    ]);
    let over = false;
    void running.ended.then(() => (over = true));
    while (!over) await ping('two-namespaces', 'r1', '172.16.0.2', 20);
    const { status, stdout } = await running.ended;
    expect(status).toBe(0);
    interface Sample {
      readonly since: number;
      readonly interfaces: readonly {
        readonly namespace: string | null;
        readonly name: string;
        readonly rates: Readonly<Record<string, number>> | null;
      }[];
    }
    const samples = lines<Sample>(stdout);
    expect(samples.length).toBe(12);
    expect(
      new Set(samples.flatMap(({ interfaces }) => interfaces.map(({ name }) => name))),
    ).toEqual(new Set(['lo', 'veth1.1', 'veth1.2', 'br-ex']));
    const rates = samples.flatMap(({ interfaces }) => {
      const found = interfaces.find(({ name }) => name === 'veth1.2')?.rates ?? null;
      return found === null ? [] : [found];
    });
    // Twenty pings a second while one runs; each is received and answered.
    const busiest = Math.max(...rates.map((each) => each['receivedPackets'] ?? 0));
    expect(busiest).toBeGreaterThan(5);
    expect(busiest).toBeLessThan(60);
    expect(Math.max(...rates.map((each) => each['transmittedPackets'] ?? 0))).toBeGreaterThan(5);
  }, 60_000);

  it('prints rates as comma-separated values', async () => {
    const { status, stdout } = await netloom.run([
      ...['watch', 'two-namespaces', '--every', '200', '-c', '3', '--csv'],
    ]);
    expect(status).toBe(0);
    const [head = '', ...rows] = stdout.trimEnd().split('\r\n');
    expect(head).toMatch(/^time,namespace,interface,received packets\/s,/);
    expect(rows.length).toBeGreaterThan(9);
    for (const row of rows) {
      expect(row).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z,(?:r[12])?,[\w.-]+(?:,\d+(?:\.\d)?){8}$/);
    }
    expect(rows.some((row) => row.includes(',r1,veth1.1,'))).toBe(true);
  }, 30_000);

  it('shows a table of rates', async () => {
    const { status, stdout } = await netloom.run(['watch', 'two-namespaces', '-c', '1']);
    expect(status).toBe(0);
    expect(stdout.split('\n')[0]).toMatch(/^INTERFACE +IN bit\/s +IN packets\/s +OUT bit\/s/);
    expect(stdout).toMatch(/^r1:veth1\.1 /m);
  }, 30_000);
});
