/** The comparator of Open vSwitches sees what a person changes, and nothing that changes by itself. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { engineFiles } from '../../agent/ovs/engine-commands.ts';
import { startEngine, stopEngine } from '../../agent/ovs/private-engine.ts';
import { ovsDifferences, type OvsState, ovsState } from '../harness/ovs-state.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import { freshDirectory, vsctl } from './ovs-private.ts';

const directory = freshDirectory();
const { socket } = engineFiles(directory);
let before: OvsState;

/** Words as of a command line. */
function set(words: string): void {
  vsctl(socket, ...words.split(' '));
}

function openFlow(verb: string, ...words: readonly string[]): void {
  execFileSync('ovs-ofctl', ['-O', 'OpenFlow13', verb, `unix:${directory}/foo.mgmt`, ...words]);
}

beforeAll(async () => {
  requirePrivateNamespaces();
  must(await startEngine({ directory, datapath: 'netdev' }));
  set('add-br foo -- set bridge foo datapath_type=netdev');
  set('add-port foo p1 -- set interface p1 type=internal');
  set('add-port foo p2 -- set interface p2 type=internal');
  set('set port p1 qos=@q -- --id=@q create qos type=linux-htb');
  set('set bridge foo mirrors=@m -- --id=@m create mirror name=m1 select_all=true');
  set('set-controller foo tcp:127.0.0.1:6653');
  openFlow('add-flow', 'priority=1,in_port=p1,actions=p2');
});
afterAll(async () => {
  must(await stopEngine(directory));
});
beforeEach(() => {
  before = ovsState(directory);
});

it('reads the same twice, whatever happened in between that is nobody’s doing', () => {
  openFlow('packet-out', `in_port=LOCAL packet=${'00'.repeat(60)} actions=p1`);
  openFlow('packet-out', `in_port=p1 packet=${'00'.repeat(60)} actions=TABLE`);
  set('add-br bar -- del-br bar');
  expect(ovsDifferences(before, ovsState(socket))).toEqual([]);
});

it.each<readonly [what: string, change: () => void, seen: RegExp]>([
  ['a tag', () => set('set port p1 tag=7'), /^\/tables\/Port\/p1\/tag: \S+ → 7$/],
  [
    'a setting of a row without a name',
    () => {
      const qos = vsctl(socket, 'get', 'port', 'p1', 'qos').trim();
      set(`set qos ${qos} other_config:max-rate=1000000`);
    },
    /^\/tables\/QoS\/p1 qos\/other_config: nothing → \{"max-rate":"1000000"\}$/m,
  ],
  ['a mirror', () => set('clear bridge foo mirrors'), /^\/tables\/Mirror.*→ nothing$/m],
  ['a controller', () => set('del-controller foo'), /^\/tables\/Controller.*→ nothing$/m],
  [
    'a port that was made anew, just as it was',
    () => {
      set('del-port p2');
      set('add-port foo p2 -- set interface p2 type=internal');
    },
    /^\/identities\/Port p2\/uuid: /m,
  ],
  [
    'a flow',
    () => openFlow('add-flow', 'priority=7,in_port=p1,actions=drop'),
    /^\/openFlow\/foo\/flows: .*→ .*priority=7,in_port=p1 actions=drop/m,
  ],
  [
    'a group',
    () => openFlow('add-group', 'group_id=1,type=all,bucket=output:p2'),
    /^\/openFlow\/foo\/groups: .*→ .*group_id=1/m,
  ],
  [
    'a meter',
    () => openFlow('add-meter', 'meter=1,kbps,band=type=drop,rate=1000'),
    /^\/openFlow\/foo\/meters: .*→ .*meter=1 .*rate=1000/m,
  ],
])('sees %s', (_what, change, seen) => {
  change();
  expect(ovsDifferences(before, ovsState(directory)).join('\n')).toMatch(seen);
});
