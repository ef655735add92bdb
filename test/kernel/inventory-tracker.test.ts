/** The inventory against what iproute2 says, in the private namespaces of this tier. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  applyInventoryDelta,
  type Inventory,
  InventorySchema,
  type LinkView,
  type NamespaceView,
} from '../../agent/api/inventory.ts';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import { addAddress } from '../../agent/kernel/addresses.ts';
import { getLink } from '../../agent/kernel/links.ts';
import { addRoute } from '../../agent/kernel/routes.ts';
import { runIn } from '../../agent/kernel/namespaces.ts';

function ip(...options: readonly string[]): string {
  return execFileSync('ip', options, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: 'pipe' });
}

/** Commands of one `ip` process, one a line. */
function batch(commands: string, namespace?: string): void {
  const place = namespace === undefined ? [] : ['-n', namespace];
  execFileSync('ip', [...place, '-batch', '-'], { input: commands, stdio: 'pipe' });
}

type Json = Readonly<Record<string, unknown>>;

function readJson(...options: readonly string[]): readonly Json[] {
  const list: unknown = JSON.parse(ip('-j', ...options) || '[]');
  if (!Array.isArray(list)) throw new Error('ip gave no list');
  // `ip` leaves empty objects behind for what a filter hides.
  return list.filter(
    (item): item is Json => typeof item === 'object' && 0 < Object.keys(item).length,
  );
}

/** Tests of one process share an environment: each removes what it made. */
function clean(): void {
  for (const entry of readJson('netns', 'list')) {
    if (String(entry['name']).startsWith('inv')) ip('netns', 'del', String(entry['name']));
  }
  for (const link of readJson('link', 'show')) {
    if (!String(link['ifname']).startsWith('inv')) continue;
    try {
      ip('link', 'del', String(link['ifname']));
    } catch {
      // The other end of one that is gone already.
    }
  }
}

beforeAll(() => {
  // A namespace of one's own has no link that is up but `lo`; a machine's has one. (/proc/1 may not be readable.)
  const foreign = readJson('link', 'show', 'up').filter((link) => link['link_type'] !== 'loopback');
  const names = foreign.map((link) => String(link['ifname'])).filter((name) => !/^inv/.test(name));
  if (names.length > 0) {
    throw new Error(`These tests change the network, and ${names.join(', ')} is not theirs.`);
  }
});

let tracker: InventoryTracker;
let isOpen = false;
/** As a client has it: the first snapshot and every delta since. */
let client: Inventory;
const children: ChildProcess[] = [];

async function open(options: { readonly receiveBufferSize?: number } = {}): Promise<void> {
  const opened = await InventoryTracker.open(options);
  if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
  tracker = opened.value;
  isOpen = true;
  client = tracker.snapshot();
  tracker.onDelta((delta) => {
    const next = applyInventoryDelta(client, delta);
    if (next === null) throw new Error(`delta ${delta.sequence} after ${client.sequence}`);
    client = next;
  });
}

beforeEach(clean);
afterEach(() => {
  if (isOpen) tracker.close();
  isOpen = false;
  for (const child of children.splice(0)) child.kill('SIGKILL');
  clean();
});

/** Waits until the check stops throwing. */
async function eventually(check: () => void): Promise<void> {
  const end = Date.now() + 15_000;
  for (;;) {
    try {
      check();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function namespaceOf(name: string): NamespaceView | undefined {
  return client.namespaces.find((view) => (name === '' ? view.root : view.names.includes(name)));
}

function linkOf(namespace: string, name: string): LinkView | undefined {
  const id = namespaceOf(namespace)?.id;
  return client.links.find((link) => link.namespace === id && link.name === name);
}

/** Both ends as `NAMESPACE:LINK`, of every wire that a namespace has. */
function wiresOf(namespace: string): readonly string[] {
  const place = (link: LinkView): string => {
    const view = client.namespaces.find(({ id }) => id === link.namespace);
    return `${view?.names[0] ?? ''}:${link.name}`;
  };
  const id = namespaceOf(namespace)?.id;
  return client.links
    .filter((link) => link.namespace === id && link.kind === 'veth')
    .map((link) => {
      const peer = client.links.find((other) => other.id === link.peer);
      return `${link.name} ${peer === undefined ? 'nowhere' : place(peer)}`;
    })
    .sort();
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function asList(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(asJson) : [];
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** `ip` gives times in hundredths of a second, and leaves out what the kernel does not tell. */
function expectedBridge(data: Json): Json {
  return {
    stp: data['stp_state'] === 1,
    priority: data['priority'],
    forwardDelay: Number(data['forward_delay']) / 100,
    helloTime: Number(data['hello_time']) / 100,
    maximumAge: Number(data['max_age']) / 100,
    ageingTime: Number(data['ageing_time']) / 100,
    ...('mcast_snooping' in data ? { multicastSnooping: data['mcast_snooping'] === 1 } : {}),
    ...('vlan_default_pvid' in data ? { vlanFiltering: data['vlan_filtering'] === 1 } : {}),
  };
}

/** What an address has beyond the ordinary; the kernel's own have none. */
function expectedParticulars(address: Json, link: Json): Json {
  if (address['scope'] === 'link' || link['link_type'] === 'loopback') return {};
  const particulars: Json = {
    ...('address' in address ? { peer: address['address'] } : {}),
    ...('broadcast' in address ? { broadcast: address['broadcast'] } : {}),
    ...('label' in address && address['label'] !== link['ifname']
      ? { label: address['label'] }
      : {}),
    ...('metric' in address ? { metric: address['metric'] } : {}),
    ...(address['noprefixroute'] === true ? { noPrefixRoute: true } : {}),
    ...(address['nodad'] === true ? { noDuplicateDetection: true } : {}),
  };
  return Object.keys(particulars).length === 0 ? {} : { particulars };
}

/** A namespace as `ip` shows it, in the words of the contract. */
function expectedLinks(namespace: string): readonly Json[] {
  const place = namespace === '' ? [] : ['-n', namespace];
  const links = readJson(...place, '-d', 'addr', 'show');
  return links
    .map((link): Json => {
      const information = asJson(link['linkinfo']);
      const flags: readonly unknown[] = Array.isArray(link['flags']) ? link['flags'] : [];
      const port = asJson(information['info_slave_data']);
      const bridge = asJson(information['info_data']);
      const kind = text(information['info_kind']);
      return {
        index: link['ifindex'],
        name: link['ifname'],
        kind: kind ?? (link['link_type'] === 'loopback' ? 'loopback' : 'physical'),
        mac: text(link['address']),
        mtu: link['mtu'],
        up: flags.includes('UP'),
        carrier: flags.includes('LOWER_UP'),
        operationalState: String(link['operstate']).toLowerCase(),
        master: text(link['master']),
        alias: text(link['ifalias']),
        bridge: kind === 'bridge' ? expectedBridge(bridge) : null,
        port:
          information['info_slave_kind'] === 'bridge'
            ? { isolated: port['isolated'], cost: port['cost'], priority: port['priority'] }
            : null,
        portState: text(port['state']),
        addresses: asList(link['addr_info'])
          .map((address) => ({
            address: `${String(address['local'])}/${String(address['prefixlen'])}`,
            family: address['family'] === 'inet' ? 'ipv4' : 'ipv6',
            scope: address['scope'],
            // Older releases of `ip` cannot set or show it; another test does.
            owned: false,
            tentative: address['tentative'] === true,
            duplicate: address['dadfailed'] === true,
            ...(address['dynamic'] === true ? { dynamic: true } : {}),
            ...expectedParticulars(address, link),
          }))
          .sort((one, other) =>
            `${one.family} ${one.address}` < `${other.family} ${other.address}` ? -1 : 1,
          ),
      };
    })
    .sort((one, other) => Number(one['index']) - Number(other['index']));
}

function seenLinks(namespace: string): readonly Json[] {
  const id = namespaceOf(namespace)?.id;
  const names = new Map(client.links.map((link) => [link.id, link.name]));
  return client.links
    .filter((link) => link.namespace === id)
    .map((link) => ({
      index: link.index,
      name: link.name,
      kind: link.kind,
      mac: link.mac,
      mtu: link.mtu,
      up: link.up,
      carrier: link.carrier,
      operationalState: link.operationalState,
      master: link.master === null ? null : (names.get(link.master) ?? 'unknown'),
      alias: link.alias,
      bridge: link.bridge,
      port: link.port,
      portState: link.portState,
      addresses: link.addresses,
    }))
    .sort((one, other) => one.index - other.index);
}

function expectedRoutes(namespace: string): readonly string[] {
  const place = namespace === '' ? [] : ['-n', namespace];
  const families = [
    ['-4', 'ipv4', 32],
    ['-6', 'ipv6', 128],
  ] as const;
  return families
    .flatMap(([option, family, longest]) =>
      readJson(...place, '-N', option, 'route', 'show').map((route) => {
        const to = String(route['dst']);
        const whole = to === 'default' || to.includes('/') ? to : `${to}/${longest}`;
        const parts = [family, whole, route['gateway'], route['dev'], route['metric'] ?? 0];
        // `ip` leaves out RTPROT_BOOT, which is what it gives itself.
        return [...parts, route['protocol'] ?? 3].map(String).join(' ');
      }),
    )
    .sort();
}

function seenRoutes(namespace: string): readonly string[] {
  const id = namespaceOf(namespace)?.id;
  const names = new Map(
    client.links.filter((link) => link.namespace === id).map((link) => [link.index, link.name]),
  );
  return (client.routes.find((table) => table.namespace === id)?.routes ?? [])
    .map((route) => {
      const device = route.index === null ? undefined : names.get(route.index);
      const parts = [route.family, route.to, route.via ?? undefined, device, route.metric];
      return [...parts, route.protocol].map(String).join(' ');
    })
    .sort();
}

function expectAsTheKernel(...namespaces: readonly string[]): void {
  for (const namespace of namespaces) {
    expect(seenLinks(namespace)).toEqual(expectedLinks(namespace));
    expect(seenRoutes(namespace)).toEqual(expectedRoutes(namespace));
  }
}

function start(command: string, ...options: readonly string[]): ChildProcess {
  const child = spawn(command, options, { stdio: 'ignore' });
  children.push(child);
  return child;
}

describe('the inventory', () => {
  it('shows in its first snapshot what iproute2 shows', async () => {
    for (const name of ['inv1', 'inv2']) ip('netns', 'add', name);
    batch(`
      link add invbr type bridge stp_state 1
      link add invp mtu 1400 type veth peer name eth0 netns inv1
      link set invp master invbr up
      link set invp alias netloom:two
      link set invbr up
      addr add 10.90.0.1/24 dev invbr
      link add eth1 netns inv1 type veth peer name eth1 netns inv2
    `);
    batch(
      `
      link set lo up
      link set lo alias netloom:two
      link set eth0 up
      addr add 10.90.0.2/24 dev eth0
      addr add 10.90.1.2/32 peer 10.90.1.3/32 dev eth0
      addr add 2001:db8::2/64 dev eth0 nodad
      route add 10.91.0.0/16 via 10.90.0.1 proto 78
      route add 10.92.0.1 dev eth0 metric 5
      route add blackhole 10.93.0.0/16
      route add default via 2001:db8::1
    `,
      'inv1',
    );
    await open();
    expect(InventorySchema.safeParse(client).success).toBe(true);
    await eventually(() => {
      expectAsTheKernel('', 'inv1', 'inv2');
    });
    expect(wiresOf('inv1')).toEqual(['eth0 :invp', 'eth1 inv2:eth1']);
    expect(linkOf('', 'invp')?.lab).toBe('two');
    expect(namespaceOf('inv1')?.lab).toBe('two');
    expect(namespaceOf('inv2')?.lab).toBeNull();
    expect(namespaceOf('inv1')?.id).toBe(String(statSync('/run/netns/inv1').ino));
    const routes = client.routes.find(({ namespace }) => namespace === namespaceOf('inv1')?.id);
    const owned = routes?.routes.filter((route) => route.owned).map(({ to }) => to);
    expect(owned).toEqual(['10.91.0.0/16']);
  });

  it('follows commands that are typed elsewhere', async () => {
    await open();
    ip('netns', 'add', 'inv1');
    await eventually(() => {
      expect(namespaceOf('inv1')).toBeDefined();
    });
    const steps = [
      ['link', 'add', 'invbr', 'type', 'bridge'],
      ['link', 'add', 'invp', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'inv1'],
      ['link', 'set', 'invp', 'master', 'invbr'],
      // Nothing announces these two while the link is down.
      ['link', 'set', 'invp', 'alias', 'mine'],
      ['link', 'set', 'invbr', 'type', 'bridge', 'stp_state', '1'],
      ['link', 'set', 'invbr', 'type', 'bridge', 'stp_state', '0'],
      ['link', 'set', 'invbr', 'type', 'bridge', 'ageing_time', '20000', 'priority', '4096'],
      ['link', 'set', 'invbr', 'up'],
      ['link', 'set', 'invp', 'up'],
      ['link', 'set', 'invp', 'type', 'bridge_slave', 'isolated', 'on', 'cost', '77'],
      ['link', 'set', 'invp', 'type', 'bridge_slave', 'isolated', 'off', 'priority', '9'],
      ['-n', 'inv1', 'link', 'set', 'lo', 'up'],
      ['-n', 'inv1', 'link', 'set', 'eth0', 'up'],
      ['-n', 'inv1', 'addr', 'add', '10.90.0.2/24', 'dev', 'eth0'],
      ['-n', 'inv1', 'route', 'add', 'default', 'via', '10.90.0.1'],
      ['-n', 'inv1', 'link', 'set', 'eth0', 'mtu', '1400'],
      ['-n', 'inv1', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:77'],
      ['-n', 'inv1', 'link', 'set', 'eth0', 'down'],
      ['-n', 'inv1', 'link', 'set', 'eth0', 'up'],
      ['-n', 'inv1', 'route', 'add', '10.91.0.0/24', 'dev', 'eth0'],
      ['-n', 'inv1', 'addr', 'del', '10.90.0.2/24', 'dev', 'eth0'],
      ['link', 'set', 'invbr', 'type', 'bridge', 'stp_state', '1'],
      ['link', 'set', 'invp', 'nomaster'],
      ['-n', 'inv1', 'link', 'set', 'eth0', 'name', 'wan0'],
    ];
    for (const step of steps) {
      ip(...step);
      await eventually(() => {
        expectAsTheKernel('', 'inv1');
      });
    }
    expect(wiresOf('inv1')).toEqual(['wan0 :invp']);
    expect(linkOf('inv1', 'eth0')).toBeUndefined();
    ip('link', 'del', 'invp');
    await eventually(() => {
      expectAsTheKernel('', 'inv1');
      expect(linkOf('inv1', 'wan0')).toBeUndefined();
    });
  });

  it('leads a client to the same picture as a fresh look', async () => {
    await open();
    for (let round = 0; round < 3; round += 1) {
      for (const name of ['inv1', 'inv2', 'inv3']) ip('netns', 'add', name);
      batch(`
        link add invbr type bridge
        link add invp1 master invbr up type veth peer name eth0 netns inv1
        link add invp2 master invbr up type veth peer name eth0 netns inv2
        link add eth1 netns inv2 type veth peer name eth1 netns inv3
      `);
      ip('netns', 'del', 'inv3');
      const ids = (list: readonly { readonly id: string }[]): string[] =>
        list.map(({ id }) => id).sort();
      // A namespace takes its links along some time after its name has gone: not between the two looks.
      await eventually(() => {
        const left = readJson('-n', 'inv2', 'link', 'show').map((link) => link['ifname']);
        expect(left).not.toContain('eth1');
      });
      tracker.refresh();
      const fresh = await InventoryTracker.open();
      if (!fresh.ok) throw new Error(fresh.failure.reason);
      expect(ids(client.links)).toEqual(ids(fresh.value.snapshot().links));
      expect(ids(client.namespaces)).toEqual(ids(fresh.value.snapshot().namespaces));
      expect(client).toEqual(tracker.snapshot());
      fresh.value.close();
      clean();
    }
    await eventually(() => {
      expect(client.namespaces.some(({ names }) => names.length > 0)).toBe(false);
    });
  });

  it('reads everything again within refresh', async () => {
    await open();
    ip('netns', 'add', 'inv1');
    ip('-n', 'inv1', 'link', 'add', 'br0', 'type', 'bridge');
    tracker.refresh();
    expectAsTheKernel('inv1');
    ip('netns', 'del', 'inv1');
    tracker.refresh();
    expect(namespaceOf('inv1')).toBeUndefined();
    expect(client).toEqual(tracker.snapshot());
  });
});

describe('a namespace', () => {
  it('is shown while only a process holds it', async () => {
    await open();
    const child = start('unshare', '--net', 'sleep', '1000');
    const view = (): NamespaceView | undefined =>
      client.namespaces.find(({ processes }) => processes.some(({ pid }) => pid === child.pid));
    await eventually(() => {
      expect(view()).toMatchObject({
        names: [],
        mounts: [],
        root: false,
        processes: [{ pid: child.pid, command: 'sleep 1000' }],
        processCount: 1,
      });
      expect(client.links.filter(({ namespace }) => namespace === view()?.id)).toHaveLength(1);
    });
    const id = view()?.id;
    child.kill('SIGKILL');
    await eventually(() => {
      expect(client.namespaces.some((namespace) => namespace.id === id)).toBe(false);
      expect(client.links.some(({ namespace }) => namespace === id)).toBe(false);
    });
  });

  it('is shown while only a bind mount holds it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'netloom inventory'));
    const file = join(directory, 'held');
    writeFileSync(file, '');
    try {
      execFileSync('unshare', [`--net=${file}`, 'true']);
      await open();
      const inode = String(statSync(file).ino);
      const view = client.namespaces.find(({ id }) => id === inode);
      expect(view).toMatchObject({ names: [], mounts: [file], processes: [], processCount: 0 });
      // Also without MNT_DETACH: nothing of ours may hold the mount.
      execFileSync('umount', [file]);
      await eventually(() => {
        expect(client.namespaces.some(({ id }) => id === inode)).toBe(false);
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('keeps all its names and ends with the last', async () => {
    await open();
    ip('netns', 'add', 'inv1');
    ip('netns', 'attach', 'inv2', String(process.pid));
    ip('netns', 'add', 'inv3');
    execFileSync('touch', ['/run/netns/inv4']);
    await eventually(() => {
      expect(namespaceOf('')?.names).toEqual(['inv2']);
      expect(namespaceOf('inv3')).toBeDefined();
    });
    // A file on which a namespace is mounted only later.
    execFileSync('mount', ['--bind', '/run/netns/inv3', '/run/netns/inv4']);
    await eventually(() => {
      expect(namespaceOf('inv3')?.names).toEqual(['inv3', 'inv4']);
    });
    ip('netns', 'del', 'inv3');
    await eventually(() => {
      expect(namespaceOf('inv4')?.names).toEqual(['inv4']);
    });
    ip('netns', 'del', 'inv4');
    ip('netns', 'del', 'inv2');
    await eventually(() => {
      expect(namespaceOf('inv4')).toBeUndefined();
      expect(namespaceOf('')?.names).toEqual([]);
    });
  });

  it('is not kept alive by being watched', async () => {
    ip('netns', 'add', 'inv1');
    ip('link', 'add', 'invp', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'inv1');
    await open();
    expect(wiresOf('inv1')).toEqual(['eth0 :invp']);
    ip('netns', 'del', 'inv1');
    // The kernel deletes a veth when the namespace of its other end is gone for good.
    await eventually(() => {
      expect(readJson('link', 'show').some((link) => link['ifname'] === 'invp')).toBe(false);
      expect(linkOf('', 'invp')).toBeUndefined();
      expect(namespaceOf('inv1')).toBeUndefined();
    });
  });

  it('can be entered by its name at once, and not when there is none', async () => {
    await open();
    ip('netns', 'add', 'inv1');
    const handle = tracker.namespaceHandle('inv1');
    if (!handle.ok) throw new Error(handle.failure.reason);
    const inside = runIn(handle.value.fd, () => readlinkSync('/proc/thread-self/ns/net'));
    expect(inside).toEqual({ ok: true, value: `net:[${statSync('/run/netns/inv1').ino}]` });
    const loopback = getLink(handle.value.socket, { name: 'lo' });
    expect(loopback.ok && loopback.value.up).toBe(false);
    expect(
      addAddress(handle.value.socket, { interfaceIndex: 1, prefix: '10.9.9.9/32', protocol: 78 })
        .ok,
    ).toBe(true);
    ip('-n', 'inv1', 'link', 'set', 'lo', 'up');
    const route = { destination: '10.8.0.0/24', interfaceIndex: 1, protocol: 78 };
    expect(addRoute(handle.value.socket, route).ok).toBe(true);
    await eventually(() => {
      expect(linkOf('inv1', 'lo')?.addresses).toContainEqual(
        expect.objectContaining({ address: '10.9.9.9/32', owned: true }),
      );
      const table = client.routes.find(({ namespace }) => namespace === namespaceOf('inv1')?.id);
      expect(table?.routes).toContainEqual(
        expect.objectContaining({ to: '10.8.0.0/24', owned: true }),
      );
    });
    expect(tracker.namespaceHandle(null).ok).toBe(true);
    for (const name of ['inv9', '../netns/inv1', '..', '']) {
      expect(tracker.namespaceHandle(name)).toMatchObject({
        ok: false,
        failure: { kind: 'unknown-object' },
      });
    }
  });
});

describe('a link', () => {
  it('that moves between namespaces is in one of them only and keeps its wire', async () => {
    for (const name of ['inv1', 'inv2']) ip('netns', 'add', name);
    ip('link', 'add', 'invp', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'inv1');
    await open();
    ip('-n', 'inv1', 'link', 'set', 'eth0', 'netns', 'inv2');
    await eventually(() => {
      expectAsTheKernel('', 'inv1', 'inv2');
      expect(wiresOf('inv1')).toEqual([]);
      expect(wiresOf('inv2')).toEqual(['eth0 :invp']);
      expect(wiresOf('')).toEqual(['invp inv2:eth0']);
    });
    // Both ends in one namespace, then both away.
    ip('link', 'set', 'invp', 'netns', 'inv2');
    await eventually(() => {
      expectAsTheKernel('', 'inv2');
      expect(wiresOf('inv2')).toEqual(['eth0 inv2:invp', 'invp inv2:eth0']);
    });
    ip('-n', 'inv2', 'link', 'set', 'eth0', 'netns', 'inv1');
    await eventually(() => {
      expectAsTheKernel('inv1', 'inv2');
      expect(wiresOf('inv1')).toEqual(['eth0 inv2:invp']);
    });
  });

  it('of equal name and index elsewhere is not confused', async () => {
    for (const name of ['inv1', 'inv2', 'inv3', 'inv4']) ip('netns', 'add', name);
    // Every end is number 7 and calls itself eth0.
    for (const [one, other] of [
      ['inv1', 'inv3'],
      ['inv2', 'inv4'],
    ] as const) {
      const end = ['link', 'add', 'eth0', 'index', '7', 'netns', one, 'type', 'veth'];
      ip(...end, 'peer', 'name', 'eth0', 'index', '7', 'netns', other);
    }
    await open();
    expect(wiresOf('inv1')).toEqual(['eth0 inv3:eth0']);
    expect(wiresOf('inv2')).toEqual(['eth0 inv4:eth0']);
    expect(wiresOf('inv3')).toEqual(['eth0 inv1:eth0']);
    expect(wiresOf('inv4')).toEqual(['eth0 inv2:eth0']);
    // Two wires change ends in one go.
    batch('link set eth0 name tmp0\nlink set tmp0 netns inv4', 'inv3');
    ip('-n', 'inv4', 'link', 'set', 'eth0', 'netns', 'inv3');
    await eventually(() => {
      expectAsTheKernel('inv1', 'inv2', 'inv3', 'inv4');
      expect(wiresOf('inv1')).toEqual(['eth0 inv4:tmp0']);
      expect(wiresOf('inv2')).toEqual(['eth0 inv3:eth0']);
    });
  });

  it('is right after a burst that overflows the socket', async () => {
    ip('netns', 'add', 'inv1');
    await open({ receiveBufferSize: 2048 });
    let deltas = 0;
    tracker.onDelta(() => {
      deltas += 1;
    });
    let commands = '';
    for (let pair = 0; pair < 250; pair += 1) {
      commands += `link add inv${pair} type veth peer name e${pair} netns inv1\n`;
      commands += `link set inv${pair} up\n`;
    }
    for (let pair = 0; pair < 250; pair += 2) commands += `link del inv${pair}\n`;
    // The event loop stands still meanwhile: everything is queued, and most of it lost.
    batch(commands);
    await eventually(() => {
      expectAsTheKernel('', 'inv1');
      const wires = wiresOf('inv1');
      expect(wires).toHaveLength(125);
      expect(wires.every((wire) => /^e(\d+) :inv\1$/.test(wire))).toBe(true);
    });
    expect(tracker.overruns).toBeGreaterThan(0);
    expect(deltas).toBeLessThan(100);
  });
});

describe('what a link is and does', () => {
  const tap = { kind: 'tap', owner: null, group: null, multiQueue: false };
  const vxlan = (change: Json): Json => ({
    kind: 'vxlan',
    id: 42,
    local: '10.90.0.1',
    remote: '10.90.0.2',
    port: 4789,
    parent: 'eth0',
    ...change,
  });
  const slow = (rate: number): Json => ({
    ...{ rate, delay: 0, jitter: 0, loss: 0, duplicate: 0, reorder: 0, corrupt: 0 },
  });
  const tc = (...options: readonly string[]): void => {
    execFileSync('tc', ['-n', 'inv1', ...options], { stdio: 'pipe' });
  };
  const forward = (family: 'ipv4' | 'ipv6', value: '0' | '1'): void => {
    const setting = family === 'ipv4' ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
    ip('netns', 'exec', 'inv1', 'sysctl', '-qw', `${setting}=${value}`);
  };

  /** Two veth ends, a tap that nobody holds, a tunnel. */
  function prepare(): void {
    ip('netns', 'add', 'inv1');
    batch(
      `
      link add eth0 type veth peer name eth1
      tuntap add tap0 mode tap
      link add vx0 type vxlan id 42 local 10.90.0.1 remote 10.90.0.2 dstport 4789 dev eth0
    `,
      'inv1',
    );
  }

  it('is in the first snapshot', async () => {
    prepare();
    tc('qdisc', 'add', 'dev', 'eth0', 'root', 'handle', '4e:', ...tokenBucket('8mbit'));
    tc('qdisc', 'add', 'dev', 'eth1', 'root', 'handle', '7:', ...tokenBucket('8mbit'));
    forward('ipv4', '1');
    const holder = start('ip', 'netns', 'exec', 'inv1', ...holdTap('tap0'));
    await attached(holder);
    await open();
    expect(InventorySchema.safeParse(client).error).toBeUndefined();
    expect(linkOf('inv1', 'tap0')).toMatchObject({
      kind: 'tun',
      device: tap,
      holders: [{ pid: holder.pid, command: expect.stringContaining('socat') as string }],
    });
    expect(linkOf('inv1', 'vx0')?.device).toEqual(vxlan({}));
    expect(linkOf('inv1', 'eth0')).toMatchObject({
      ...{ device: null, bondMember: null, vlans: null, queueing: null },
      impairment: slow(8_000_000),
    });
    expect(linkOf('inv1', 'eth1')).toMatchObject({ impairment: null, queueing: 'tbf' });
    expect(namespaceOf('inv1')?.forwarding).toEqual({ ipv4: true, ipv6: false });
  });

  it('is followed', async () => {
    await open();
    prepare();
    await eventually(() => {
      expect(linkOf('inv1', 'tap0')).toMatchObject({ device: tap, holders: [] });
      expect(linkOf('inv1', 'vx0')?.device).toEqual(vxlan({}));
      expect(linkOf('inv1', 'eth0')?.impairment).toBeNull();
      expect(namespaceOf('inv1')?.forwarding).toEqual({ ipv4: false, ipv6: false });
    });
    for (const rate of [8, 16]) {
      tc('qdisc', 'replace', 'dev', 'eth0', 'root', 'handle', '4e:', ...tokenBucket(`${rate}mbit`));
      await eventually(() => {
        expect(linkOf('inv1', 'eth0')?.impairment).toEqual(slow(rate * 1_000_000));
      });
    }
    tc('qdisc', 'del', 'dev', 'eth0', 'root');
    tc('qdisc', 'add', 'dev', 'eth1', 'root', 'handle', '7:', ...tokenBucket('8mbit'));
    forward('ipv4', '1');
    forward('ipv6', '1');
    await eventually(() => {
      expect(linkOf('inv1', 'eth0')).toMatchObject({ impairment: null, queueing: null });
      expect(linkOf('inv1', 'eth1')).toMatchObject({ impairment: null, queueing: 'tbf' });
      expect(namespaceOf('inv1')?.forwarding).toEqual({ ipv4: true, ipv6: true });
    });
    forward('ipv6', '0');
    await eventually(() => {
      expect(namespaceOf('inv1')?.forwarding).toEqual({ ipv4: true, ipv6: false });
    });
    // The link below has another name, and the tunnel another number.
    batch(
      `
      link set eth0 name wan0
      link del vx0
      link add vx0 type vxlan id 43 remote 2001:db8::2 dstport 4790
    `,
      'inv1',
    );
    await eventually(() => {
      expect(linkOf('inv1', 'vx0')?.device).toEqual(
        vxlan({ id: 43, local: null, remote: '2001:db8::2', port: 4790, parent: null }),
      );
    });
    ip('-n', 'inv1', 'tuntap', 'add', 'tun0', 'mode', 'tun', 'user', '1000', 'multi_queue');
    await eventually(() => {
      const tun = { kind: 'tun', owner: 1000, group: null, multiQueue: true };
      expect(linkOf('inv1', 'tun0')).toMatchObject({ device: tun, holders: [] });
    });
    const holder = start('ip', 'netns', 'exec', 'inv1', ...holdTap('tap0'));
    await eventually(() => {
      expect(linkOf('inv1', 'tap0')?.holders.map(({ pid }) => pid)).toEqual([holder.pid]);
    });
    // It stays with its descriptor when it moves, and a link of the same name is another.
    ip('netns', 'add', 'inv2');
    ip('-n', 'inv1', 'link', 'set', 'tap0', 'netns', 'inv2');
    ip('-n', 'inv1', 'tuntap', 'add', 'tap0', 'mode', 'tap');
    await eventually(() => {
      expect(linkOf('inv2', 'tap0')?.holders.map(({ pid }) => pid)).toEqual([holder.pid]);
      expect(linkOf('inv1', 'tap0')?.holders).toEqual([]);
    });
    holder.kill('SIGKILL');
    await eventually(() => {
      expect(linkOf('inv2', 'tap0')?.holders).toEqual([]);
    });
  });

  it('is read again within refresh', async () => {
    prepare();
    await open();
    tc('qdisc', 'add', 'dev', 'eth0', 'root', 'handle', '4e:', ...tokenBucket('8mbit'));
    forward('ipv6', '1');
    const holder = start('ip', 'netns', 'exec', 'inv1', ...holdTap('tap0'));
    await attached(holder);
    ip('-n', 'inv1', 'link', 'set', 'eth0', 'name', 'wan0');
    tracker.refresh();
    expect(linkOf('inv1', 'wan0')?.impairment).toEqual(slow(8_000_000));
    expect(namespaceOf('inv1')?.forwarding).toEqual({ ipv4: false, ipv6: true });
    expect(linkOf('inv1', 'tap0')?.holders.map(({ pid }) => pid)).toEqual([holder.pid]);
    expect(linkOf('inv1', 'vx0')?.device).toEqual(vxlan({ parent: 'wan0' }));
    const ended = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await ended;
    tc('qdisc', 'del', 'dev', 'wan0', 'root');
    tracker.refresh();
    expect(linkOf('inv1', 'wan0')?.impairment).toBeNull();
    expect(linkOf('inv1', 'tap0')?.holders).toEqual([]);
  });
});

function tokenBucket(rate: string): readonly string[] {
  return ['tbf', 'rate', rate, 'burst', '32k', 'limit', '64k'];
}

/** A command that attaches to an existing tap and stays. */
function holdTap(name: string): readonly string[] {
  return ['socat', '-u', `TUN,tun-name=${name},tun-type=tap,iff-no-pi`, 'PIPE'];
}

/** Waits until a process has a tap. */
async function attached(holder: ChildProcess): Promise<void> {
  const folder = `/proc/${String(holder.pid)}/fdinfo`;
  await eventually(() => {
    const files = readdirSync(folder).map((fd) => readFileSync(join(folder, fd), 'utf8'));
    expect(files.some((information) => /^iff:\ttap0$/m.test(information))).toBe(true);
  });
}
