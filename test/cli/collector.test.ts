/** A collector in a node: it receives, shows, outlives the agent, is checked, and is started by the transcript as well. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckResult, ExportRecords } from '../../agent/api/index.ts';
import { cautiousContext, commandsOf } from '../../agent/lab/command.ts';
import {
  isAlive,
  Netloom,
  ordinaryUser,
  parse,
  processesIn,
  type RunningRealm,
} from '../harness/netloom.ts';

const lab = `netloom: 1
name: collecting
topology:
  nodes:
    exporter: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
    monitor:
      kind: namespace
      interfaces: { eth0: { addresses: [10.0.0.2/24] } }
      collector: { netflow: true, sflow: 7000 }
  links: [{ endpoints: [exporter:eth0, monitor:eth0] }]
checks:
  - { check: records, at: monitor, protocol: netflow, source: 10.9.0.1, timeout: 60 }
  - { check: records, at: monitor, protocol: sflow, expect: absent, timeout: 1 }
  - { check: records, at: monitor, protocol: netflow, source: 10.9.0.1, expect: absent, timeout: 1 }
  - { check: records, at: monitor, protocol: netflow, source: 10.9.0.7, timeout: 1 }
`;

/** NetFlow v5 with one flow: 5 packets, 420 bytes of TCP from 10.9.0.1:80 to 10.9.0.2:49152. */
const datagram =
  '0005000100002710' +
  '6553f1001dcd65000000000702034064' +
  '0a0900010a0900020a0000fe0003000400000005000001a4' +
  '00000fa000001f400050c000001b0610fde8fde918100000';

const collectorWords = 'netloom collect --netflow 2055 --sflow 7000';

const people = [
  { who: 'whoever runs the tests', user: process.getuid?.() ?? 0 },
  ...(process.getuid?.() === 0 ? [{ who: 'an ordinary user', user: ordinaryUser }] : []),
];

describe.each(people)('as $who', ({ user }) => {
  let netloom: Netloom;
  let file: string;
  let realm: RunningRealm;

  const collectors = (of: RunningRealm): readonly number[] =>
    processesIn(of.processes).filter(
      (pid) =>
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() ===
        collectorWords,
    );
  const records = async (): Promise<ExportRecords> =>
    parse<ExportRecords>(await netloom.must(['records', 'collecting', 'monitor', '--json']));
  const send = (): Promise<unknown> => {
    const script =
      "const s = require('node:dgram').createSocket('udp4');" +
      `s.send(Buffer.from('${datagram}', 'hex'), 2055, '10.0.0.2', () => s.close());`;
    const { node } = netloom.installation;
    // Before the lab is up it is refused.
    return netloom.run(['exec', 'collecting', 'exporter', '--', node, '-e', script]);
  };
  const sendDuring = async (command: Promise<unknown>): Promise<void> => {
    let over = false;
    void command.finally(() => (over = true));
    while (!over) await send();
    await command;
  };

  beforeAll(async () => {
    netloom = new Netloom({ user });
    file = await netloom.write('collecting.yaml', lab);
    // The checks wait for what is sent meanwhile, and two of them are to fail.
    await sendDuring(netloom.run(['up', file, '--yes', '--json']));
    realm = await netloom.realm('collecting');
  });
  afterAll(async () => {
    await netloom.dispose();
  });

  it('receives what is sent, and shows it', async () => {
    await send();
    const found = await records();
    expect(found.running).toBe(true);
    expect(found.records[0]).toMatchObject({
      protocol: 'netflow-v5',
      exporter: '10.0.0.1',
      source: '10.9.0.1',
      destinationPort: 49_152,
      packets: 5,
    });
    const [total, ...others] = found.totals;
    expect(others).toEqual([]);
    expect(total).toMatchObject({ protocol: 'netflow-v5', exporter: '10.0.0.1' });
    expect(total?.packets).toBe((total?.flows ?? 0) * 5);
    const { stdout } = await netloom.must(['records', 'collecting', 'monitor', '--limit', '1']);
    expect(stdout).toContain('10.9.0.1:80 → 10.9.0.2:49152  tcp  packets 5  bytes 420');
    expect(stdout).toContain('netflow-v5 from 10.0.0.1: ');
  });

  it('is asked by checks, which fail when they do not hold', async () => {
    const checked = await netloom.run(['check', 'collecting', '--json']);
    expect(checked.status).toBe(1);
    const { results } = parse<{ readonly results: readonly CheckResult[] }>(checked);
    expect(results.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['passed', 'records-found'],
      ['passed', 'no-records'],
      ['failed', 'records-found-unexpectedly'],
      ['failed', 'no-records-unexpectedly'],
    ]);
    expect(results[3]?.sentence).toBe(
      'monitor received no NetFlow record (10.9.0.7 → *) within 1 s.',
    );
  });

  it('goes on while the agent is away, and is known to the next one', async () => {
    const before = await records();
    const [collector] = collectors(realm);
    process.kill(realm.agent ?? 0, 'SIGKILL');
    await expect.poll(() => isAlive(realm.agent ?? 0)).toBe(false);
    await netloom.must(['agent', 'start', '--realm', 'sandbox:collecting', '--json']);
    expect(collectors(realm)).toEqual([collector]);
    expect((await records()).totals).toEqual(before.totals);
    const planned = await netloom.must(['plan', file, '--json']);
    expect(parse<{ readonly steps: readonly unknown[] }>(planned).steps).toEqual([]);
  });

  it('is missed when it has ended, and started anew', async () => {
    process.kill(collectors(realm)[0] ?? 0, 'SIGKILL');
    await expect.poll(async () => (await records()).running).toBe(false);
    const { stdout } = await netloom.must(['plan', file]);
    expect(stdout).toContain('+ process collector:flows in monitor');
    await sendDuring(netloom.run(['up', file, '--yes']));
    expect(collectors(realm)).toHaveLength(1);
  });

  it('is the process that the transcript starts, and ends', async () => {
    const empty = new Netloom({ user });
    try {
      const script = await empty.must([
        'plan',
        await empty.write('collecting.yaml', lab),
        '--commands',
      ]);
      expect(script.stdout).toContain('setsid netloom collect ');
      const bare = await empty.emptyRealm('by-hand');
      bare.script(script.stdout);
      await expect.poll(() => collectors(bare), { timeout: 20_000 }).toHaveLength(1);
      // Its own name has taken the place of a longer command line.
      const command = collectorWords.split(' ');
      const process = { namespace: 'monitor', name: 'collector:flows', command };
      bare.script(commandsOf({ kind: 'stop-process', ...process }, cautiousContext).join('\n'));
      await expect.poll(() => collectors(bare)).toEqual([]);
    } finally {
      await empty.dispose();
    }
  });

  it('is gone with its lab', async () => {
    await netloom.must(['down', 'collecting']);
    expect(processesIn(realm.processes)).toEqual([]);
  });
});

it('prints records as lines where it is called by hand', async () => {
  const netloom = new Netloom();
  try {
    const usage = await netloom.run(['collect']);
    expect(usage.status).toBe(2);
    expect(usage.stderr).toContain('usage: netloom collect');
    // In a network of its own: nothing listens on the machine's.
    const { root, node } = netloom.installation;
    const script = `ip link set lo up
      "$0" "$1" collect --netflow 2055 & collector=$!
      until ss -lun | grep -q :2055; do sleep 0.1; done
      "$0" -e "const s = require('node:dgram').createSocket('udp4'); s.send(Buffer.from('$2', 'hex'), 2055, '127.0.0.1', () => s.close())"
      sleep 1; kill $collector`;
    const output = await new Promise<string>((resolve) => {
      let text = '';
      const child = spawn(
        'unshare',
        [
          ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
          ...['--net', 'sh', '-c', script, node, `${root}/main/cli/netloom.mjs`, datagram],
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      child.stdout.on('data', (data: Buffer) => (text += data.toString()));
      child.once('close', () => resolve(text));
    });
    expect(JSON.parse(output)).toMatchObject({ protocol: 'netflow-v5', source: '10.9.0.1' });
  } finally {
    await netloom.dispose();
  }
});
