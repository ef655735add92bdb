/**
 * The machine's own Open vSwitch beside sandboxes: a machine on paper (mounts and a network of its own) has one that runs,
 * with a bridge of somebody else's. While labs with Open vSwitch come and go in sandboxes, no file of it is written or read,
 * and its bridge stays as it is.
 */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gallery, Netloom, ordinaryUser } from '../harness/netloom.ts';
import { ovsDifferences, ovsState } from '../harness/ovs-state.ts';

const isRoot = process.getuid?.() === 0;
const configuration = '/etc/openvswitch';
const log = '/var/log/openvswitch';
const directories = [
  configuration,
  log,
  ...['/var/lib/openvswitch'].filter((one) => existsSync(one)),
];
const running = '/run/openvswitch';

/** Access times are kept for every read, so that reading is seen too. The daemons are started as a distribution does. */
const script = `
for d in ${directories.join(' ')} /run; do mount -t tmpfs -o strictatime tmpfs $d; done
mkdir ${running}
ip link set lo up
ovsdb-tool create ${configuration}/conf.db /usr/share/openvswitch/vswitch.ovsschema
echo here >${configuration}/system-id.conf
ovsdb-server --detach --no-chdir --pidfile=${running}/ovsdb-server.pid --log-file=${log}/ovsdb-server.log \\
  --remote=punix:${running}/db.sock ${configuration}/conf.db
ovs-vsctl --no-wait init
ovs-vswitchd --detach --no-chdir --pidfile=${running}/ovs-vswitchd.pid --log-file=${log}/ovs-vswitchd.log \\
  unix:${running}/db.sock
ovs-vsctl add-br foo-br -- set bridge foo-br datapath_type=netdev fail_mode=secure \\
  -- add-port foo-br foo-in tag=7 -- set interface foo-in type=internal -- set-controller foo-br tcp:127.0.0.1:6653
ovs-ofctl add-flow foo-br priority=7,ip,actions=drop
echo ready
while read -r order; do
  case $order in
    stop) kill $(cat ${running}/*.pid); while ls ${running}/*.pid >/dev/null 2>&1; do sleep 0.02; done; echo stopped ;;
  esac
done
if ls ${running}/*.pid >/dev/null 2>&1; then kill $(cat ${running}/*.pid); fi
`;

describe.runIf(isRoot)('the machine’s Open vSwitch beside sandboxes', () => {
  let outer: ChildProcessByStdio<Writable, Readable, null>;
  let lines: Interface;
  let enter: readonly string[];
  const people: { readonly who: string; readonly netloom: Netloom }[] = [];

  function look(command: readonly string[]): string {
    const [program = '', ...args] = [...enter, ...command];
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: '/', encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Everything that stat(2) tells of every file; of directories not the access, which looking changes. */
  function files(): string {
    const format = ['-type', 'd', '-printf', '%p %i %T@ %C@\\n', '-o', '-printf'];
    return look(['find', ...directories, running, ...format, '%p %i %s %A@ %T@ %C@\\n']);
  }

  beforeAll(async () => {
    outer = spawn(
      'unshare',
      ['--net', '--mount', '--propagation', 'private', '--', 'sh', '-e', '-c', script],
      { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] },
    );
    lines = createInterface({ input: outer.stdout });
    enter = ['nsenter', '-t', String(outer.pid), '-n', '-m', '--'];
    const [line] = (await once(lines, 'line')) as [string];
    expect(line).toBe('ready');
    people.push(
      { who: 'root', netloom: new Netloom({ enter }) },
      { who: 'an ordinary user', netloom: new Netloom({ enter, user: ordinaryUser }) },
    );
  });
  afterAll(async () => {
    for (const { netloom } of people) await netloom.dispose();
    // It ends what it started when nobody gives it orders any more.
    const closed = once(outer, 'close');
    outer.stdin.end();
    await closed;
  });

  const labs = ['ovs-access-trunk.yaml', 'ovs-three-node-site.yaml'];
  async function tryLabs(who: string): Promise<void> {
    const netloom = people.find((one) => one.who === who)?.netloom;
    const paths = labs.map((name) => path.join(gallery, name));
    const tried = await netloom?.run(['test', ...paths], { limit: 110_000 });
    expect(tried?.status, `${tried?.stdout ?? ''}${tried?.stderr ?? ''}`).toBe(0);
  }

  it.each(['root', 'an ordinary user'])(
    'keeps its bridges, ports, flows and controller: labs of %s',
    async (who) => {
      const before = ovsState(running, look);
      expect(Object.keys(before.tables['Bridge'] ?? {})).toEqual(['foo-br']);
      expect(before.openFlow['foo-br']?.flows).toHaveLength(1);
      await tryLabs(who);
      expect(ovsDifferences(before, ovsState(running, look))).toEqual([]);
    },
  );

  it('has no file that labs write or read', async () => {
    // By itself it writes its log, now and then.
    outer.stdin.write('stop\n');
    await once(lines, 'line');
    const before = files();
    expect(before).toContain(`${configuration}/conf.db `);
    await tryLabs('root');
    await tryLabs('an ordinary user');
    expect(files()).toBe(before);
    // Reading would have been seen.
    look(['cat', `${configuration}/conf.db`]);
    expect(files()).not.toBe(before);
  });
});
