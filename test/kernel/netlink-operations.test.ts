import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addAddress, deleteAddress, listAddresses } from '../../agent/kernel/addresses.ts';
import {
  assignNamespaceId,
  createBridge,
  createVeth,
  deleteLink,
  deleteLinkGroup,
  getLink,
  groupLinks,
  listLinks,
  namespaceIdOf,
  setLink,
} from '../../agent/kernel/links.ts';
import {
  closeNamespace,
  createNamespace,
  type NamespaceHandle,
  removeNamespace,
} from '../../agent/kernel/namespaces.ts';
import {
  EventSocket,
  type NetlinkEvent,
  RequestSocket,
} from '../../agent/kernel/netlink-socket.ts';
import { addRoute, deleteRoute, listRoutes } from '../../agent/kernel/routes.ts';
import {
  deleteLinkRequest,
  newAddressRequest,
  newBridgeRequest,
  newVethRequest,
  setLinkRequest,
} from '../../agent/kernel/rtnetlink.ts';
import { readSetting, writeSetting, writeSettings } from '../../agent/kernel/sysctl.ts';
import { errnoOf, ip, must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let left: NamespaceHandle;
let right: NamespaceHandle;
let leftName: string;
let rightName: string;
let socket: RequestSocket;
let other: RequestSocket;

beforeAll(requirePrivateNamespaces);

beforeEach(() => {
  leftName = uniqueName('left');
  rightName = uniqueName('right');
  left = must(createNamespace(leftName));
  right = must(createNamespace(rightName));
  socket = must(RequestSocket.open(left.fd));
  other = must(RequestSocket.open(right.fd));
});

afterEach(() => {
  socket.close();
  other.close();
  closeNamespace(left);
  closeNamespace(right);
  removeNamespace(leftName);
  removeNamespace(rightName);
});

describe('links', () => {
  it('are made as a pair across namespaces, down, with names, addresses and sizes', () => {
    must(
      createVeth(
        socket,
        { name: 'a0', mac: '02:00:00:00:0a:01', mtu: 1400, index: 55 },
        { name: 'b0', mac: '02:00:00:00:0a:02', mtu: 1300, namespaceFd: right.fd, index: 77 },
      ),
    );
    expect(ip('-n', leftName, '-d', 'link', 'show', 'a0')).toMatchObject([
      {
        ifname: 'a0',
        address: '02:00:00:00:0a:01',
        mtu: 1400,
        operstate: 'DOWN',
        linkinfo: { info_kind: 'veth' },
        link_index: 77,
      },
    ]);
    expect(ip('-n', rightName, 'link', 'show', 'b0')).toMatchObject([
      { ifindex: 77, address: '02:00:00:00:0a:02', mtu: 1300, operstate: 'DOWN' },
    ]);
    const a = must(getLink(socket, { name: 'a0' }));
    expect(a).toMatchObject({ kind: 'veth', link: 77, mtu: 1400, up: false });
    expect(a.linkNamespaceId).toBe(must(namespaceIdOf(socket, right.fd)));
  });

  it('change in one message, and read back as ip says', () => {
    must(createBridge(socket, { name: 'br0' }, { stp: true, priority: 8192, ageingTime: 60 }));
    must(createVeth(socket, { name: 'p0' }, { name: 'p1' }));
    const bridge = must(getLink(socket, { name: 'br0' }));
    const port = must(getLink(socket, { name: 'p0' }));
    must(
      setLink(socket, port.index, {
        up: true,
        mtu: 1450,
        mac: '02:00:00:00:00:55',
        alias: 'one – 一',
        master: bridge.index,
        name: 'port7',
      }),
    );
    expect(ip('-n', leftName, '-d', 'link', 'show', 'port7')).toMatchObject([
      {
        ifname: 'port7',
        mtu: 1450,
        address: '02:00:00:00:00:55',
        master: 'br0',
        flags: expect.arrayContaining(['UP']) as unknown,
        ifalias: 'one – 一',
      },
    ]);
    expect(ip('-n', leftName, '-d', 'link', 'show', 'br0')).toMatchObject([
      { linkinfo: { info_data: { stp_state: 1, priority: 8192, ageing_time: 6000 } } },
    ]);
    expect(must(getLink(socket, { index: port.index }))).toMatchObject({
      name: 'port7',
      alias: 'one – 一',
      master: bridge.index,
      portKind: 'bridge',
    });
    expect(must(listLinks(socket, { master: bridge.index })).map(({ name }) => name)).toEqual([
      'port7',
    ]);
    expect(must(listLinks(socket, { kind: 'bridge' })).map(({ name }) => name)).toEqual(['br0']);
    must(setLink(socket, port.index, { master: null, alias: '', bridge: undefined }));
    const [after] = ip('-n', leftName, 'link', 'show', 'port7') as Record<string, unknown>[];
    expect(after).not.toHaveProperty('master');
    expect(after).not.toHaveProperty('ifalias');
    must(setLink(socket, bridge.index, { bridge: { stp: false } }));
    expect(must(getLink(socket, { name: 'br0' })).bridge?.stp).toBe(false);
    must(deleteLink(socket, bridge.index));
    expect(errnoOf(deleteLink(socket, bridge.index))).toBe('ENODEV');
    expect(errnoOf(getLink(socket, { name: 'br0' }))).toBe('ENODEV');
  });

  it('go together as a group, and only those of it', () => {
    for (const name of ['one', 'two', 'three']) {
      must(createBridge(socket, { name }));
    }
    const indexes = ['one', 'three'].map((name) => must(getLink(socket, { name })).index);
    const group = must(groupLinks(socket, indexes));
    expect(ip('-n', leftName, 'link', 'show', 'two')).toMatchObject([{ group: 'default' }]);
    must(deleteLinkGroup(socket, group));
    expect(must(listLinks(socket, { kind: 'bridge' })).map(({ name }) => name)).toEqual(['two']);
    expect(errnoOf(deleteLinkGroup(socket, group))).toBe('ENODEV');
    expect(errnoOf(groupLinks(socket, indexes))).toBe('ENODEV');
    must(deleteLink(socket, must(getLink(socket, { name: 'two' })).index));
  });

  it('fail with the kernel’s sentence and leave nothing behind', () => {
    must(createVeth(socket, { name: 'x' }, { name: 'y' }));
    expect(errnoOf(createVeth(socket, { name: 'z' }, { name: 'y' }))).toBe('EEXIST');
    expect(errnoOf(getLink(socket, { name: 'z' }))).toBe('ENODEV');
    const refused = setLink(socket, must(getLink(socket, { name: 'x' })).index, { mtu: 7_000_000 });
    expect(refused).toMatchObject({
      failure: { kind: 'kernel', values: { message: 'mtu greater than device maximum' } },
    });
  });

  it('list as many as ip does', () => {
    const requests = Array.from({ length: 300 }, (_, position) =>
      newVethRequest({ name: `m${position}` }, { name: `n${position}` }),
    );
    for (const result of socket.transact(requests)) must(result);
    const listed = must(listLinks(socket));
    const said = ip('-n', leftName, 'link') as { ifindex: number; ifname: string }[];
    expect(listed.map(({ index, name }) => [index, name])).toEqual(
      said.map(({ ifindex, ifname }) => [ifindex, ifname]),
    );
    const first = must(getLink(socket, { name: 'm0' }));
    const results = socket.transact([
      setLinkRequest(first.index, { up: true }),
      deleteLinkRequest(999_999),
      setLinkRequest(first.index, { alias: 'went on' }),
    ]);
    expect(results.map(errnoOf)).toEqual(['ok', 'ENODEV', 'ok']);
    expect(must(getLink(socket, { name: 'm0' })).alias).toBe('went on');
  });
});

describe('addresses and routes', () => {
  it('are added, listed and deleted, marked with who made them', () => {
    must(createVeth(socket, { name: 'a0', index: 10 }, { name: 'b0', namespaceFd: right.fd }));
    for (const result of socket.transact([
      newAddressRequest({ interfaceIndex: 10, prefix: '10.1.0.1/24', protocol: 99 }),
      newAddressRequest({
        interfaceIndex: 10,
        prefix: '2001:db8:1::1/64',
        protocol: 99,
        noDuplicateDetection: true,
      }),
      setLinkRequest(10, { up: true }),
    ])) {
      must(result);
    }
    must(setLink(other, must(getLink(other, { name: 'b0' })).index, { up: true }));
    expect(ip('-n', leftName, 'addr', 'show', 'a0')).toMatchObject([
      {
        addr_info: expect.arrayContaining([
          expect.objectContaining({ family: 'inet', local: '10.1.0.1', prefixlen: 24 }),
          expect.objectContaining({ family: 'inet6', local: '2001:db8:1::1', prefixlen: 64 }),
        ]) as unknown,
      },
    ]);
    const own = must(listAddresses(socket, { interfaceIndex: 10 })).filter(
      ({ protocol }) => protocol === 99,
    );
    expect(own.map(({ address }) => address)).toEqual(['10.1.0.1', '2001:db8:1::1']);
    expect(own.map(({ tentative }) => tentative)).toEqual([false, false]);
    expect(errnoOf(addAddress(socket, { interfaceIndex: 10, prefix: '10.1.0.1/24' }))).toBe(
      'EEXIST',
    );

    const routes = [
      { destination: '10.2.0.0/16', gateway: '10.1.0.9', protocol: 77, metric: 5 },
      { destination: 'default', gateway: '10.1.0.8', protocol: 77 },
      { destination: '2001:db8:2::/48', gateway: '2001:db8:1::9', protocol: 77 },
      { destination: '10.3.0.0/16', interfaceIndex: 10, protocol: 77, table: 1000 },
      { destination: '10.4.0.0/16', type: 'blackhole', protocol: 77 },
      {
        destination: '10.5.0.0/16',
        protocol: 77,
        nextHops: [{ gateway: '10.1.0.5' }, { gateway: '10.1.0.6', weight: 3 }],
      },
    ] as const;
    for (const route of routes) must(addRoute(socket, route));
    expect(errnoOf(addRoute(socket, routes[0]))).toBe('EEXIST');
    expect(ip('-n', leftName, 'route', 'show', 'proto', '77')).toMatchObject([
      { dst: 'default', gateway: '10.1.0.8', dev: 'a0' },
      { dst: '10.2.0.0/16', gateway: '10.1.0.9', metric: 5 },
      { type: 'blackhole', dst: '10.4.0.0/16' },
      { dst: '10.5.0.0/16', nexthops: [{ gateway: '10.1.0.5' }, { weight: 3 }] },
    ]);
    expect(ip('-n', leftName, 'route', 'show', 'table', '1000')).toMatchObject([
      { dst: '10.3.0.0/16', dev: 'a0', scope: 'link' },
    ]);
    expect(ip('-n', leftName, '-6', 'route', 'show', 'proto', '77')).toMatchObject([
      { dst: '2001:db8:2::/48', gateway: '2001:db8:1::9' },
    ]);
    expect(
      must(listRoutes(socket, { protocol: 77, table: 'all' })).map(
        ({ destination }) => destination,
      ),
    ).toEqual(expect.arrayContaining(routes.map(({ destination }) => destination)));
    const many = must(listRoutes(socket, { protocol: 77 })).find(
      ({ destination }) => destination === '10.5.0.0/16',
    );
    expect(many?.nextHops.map(({ gateway, weight }) => [gateway, weight])).toEqual([
      ['10.1.0.5', 1],
      ['10.1.0.6', 3],
    ]);
    for (const route of routes) must(deleteRoute(socket, route));
    expect(errnoOf(deleteRoute(socket, routes[0]))).toBe('ESRCH');
    expect(ip('-n', leftName, 'route', 'show', 'table', 'all', 'proto', '77')).toEqual([]);
    must(deleteAddress(socket, { interfaceIndex: 10, prefix: '10.1.0.1/24' }));
    expect(errnoOf(deleteAddress(socket, { interfaceIndex: 10, prefix: '10.1.0.1/24' }))).toBe(
      'EADDRNOTAVAIL',
    );
  });
});

describe('events', () => {
  it('arrive in order, also from namespaces that have an id', async () => {
    const heard: NetlinkEvent[] = [];
    must(assignNamespaceId(socket, right.fd));
    const rightId = must(namespaceIdOf(socket, right.fd));
    const events = must(
      EventSocket.open({
        namespaceFd: left.fd,
        allNamespaces: true,
        onEvents: (batch) => heard.push(...batch),
        onOverrun: () => {
          throw new Error('overrun');
        },
      }),
    );
    try {
      must(createBridge(socket, { name: 'here' }));
      must(createBridge(other, { name: 'there' }));
      must(createVeth(socket, { name: 'moves' }, { name: 'stays' }));
      const moving = must(getLink(socket, { name: 'moves' })).index;
      must(setLink(socket, moving, { namespaceFd: right.fd, name: 'moved' }));
      await expect
        .poll(
          () => heard.some(({ message }) => message.kind === 'link' && message.action === 'delete'),
          { interval: 5 },
        )
        .toBe(true);
      const links = heard.flatMap(({ message, namespaceId }) =>
        message.kind === 'link' ? [{ ...message, namespaceId }] : [],
      );
      expect(links[0]).toMatchObject({ action: 'new', link: { name: 'here' } });
      expect(links.find(({ link }) => link.name === 'there')?.namespaceId).toBe(rightId);
      // Moved rather than deleted.
      expect(links.find(({ action }) => action === 'delete')).toMatchObject({
        link: { name: 'moves', newNamespaceId: rightId },
        namespaceId: undefined,
      });
    } finally {
      events.close();
    }
  });

  it('say so when some were lost, and go on', async () => {
    let overruns = 0;
    const names: string[] = [];
    const events = must(
      EventSocket.open({
        namespaceFd: left.fd,
        groups: ['link'],
        receiveBufferSize: 4096,
        onEvents: (batch) => {
          for (const { message } of batch)
            if (message.kind === 'link') names.push(message.link.name);
        },
        onOverrun: () => {
          overruns += 1;
        },
      }),
    );
    try {
      const requests = Array.from({ length: 50 }, (_, position) =>
        newBridgeRequest({ name: `o${position}` }),
      );
      for (const result of socket.transact(requests)) must(result);
      await expect.poll(() => overruns, { interval: 5 }).toBeGreaterThan(0);
      must(createBridge(socket, { name: 'afterwards' }));
      await expect.poll(() => names, { interval: 5 }).toContain('afterwards');
    } finally {
      events.close();
    }
  });
});

describe('settings', () => {
  it('are those of the namespace', () => {
    must(writeSetting(left.fd, 'ipv4/ip_forward', '1'));
    expect(must(readSetting(left.fd, 'ipv4/ip_forward'))).toBe('1');
    expect(must(readSetting(right.fd, 'ipv4/ip_forward'))).toBe('0');
    const seen = execFileSync('ip', [
      'netns',
      'exec',
      leftName,
      'cat',
      '/proc/sys/net/ipv4/ip_forward',
    ]);
    expect(seen.toString().trim()).toBe('1');
    expect(errnoOf(readSetting(left.fd, 'ipv4/nothing_like_it'))).toBe('ENOENT');
    expect(
      must(
        writeSettings(
          left.fd,
          { 'ipv4/nothing_like_it': '0', 'ipv6/conf/all/forwarding': '1' },
          { optional: true },
        ),
      ),
    ).toEqual(['ipv6/conf/all/forwarding']);
    expect(() => readSetting(left.fd, '../kernel/hostname')).toThrow(RangeError);
  });
});

describe('descriptors', () => {
  it('are all given back', () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 50; round += 1) {
      const name = uniqueName('round');
      const handle = must(createNamespace(name));
      const inside = must(RequestSocket.open(handle.fd));
      const events = must(
        EventSocket.open({
          namespaceFd: handle.fd,
          onEvents: () => undefined,
          onOverrun: () => undefined,
        }),
      );
      events.close();
      events.close();
      inside.close();
      closeNamespace(handle);
      must(removeNamespace(name));
      expect(errnoOf(createNamespace(leftName))).toBe('EEXIST');
    }
    expect(count()).toBe(before);
  });
});
