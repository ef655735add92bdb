import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeAddress,
  decodeLink,
  decodeMessage,
  decodeRoute,
} from '../../../agent/kernel/rtnetlink.ts';
import { addressMessages, linkMessages, routeMessages } from './netlink-fixtures.ts';

const everything = [linkMessages, addressMessages, routeMessages].flatMap((messages) =>
  Object.values(messages).map((text) => Buffer.from(text, 'hex')),
);

function link(text: string): ReturnType<typeof decodeLink> {
  const bytes = Buffer.from(text, 'hex');
  return decodeLink(bytes, 16, bytes.length);
}

describe('links, addresses and routes of a real kernel', () => {
  it('reads a loopback', () => {
    expect(link(linkMessages.lo)).toMatchObject({
      index: 1,
      name: 'lo',
      kind: 'loopback',
      mtu: 65536,
      up: false,
      loopback: true,
      operationalState: 'down',
      transmitQueueLength: 1000,
      mac: '00:00:00:00:00:00',
      master: undefined,
      link: undefined,
    });
  });

  it('reads a bridge with its protocol', () => {
    expect(link(linkMessages.br0)).toMatchObject({
      index: 2,
      name: 'br0',
      kind: 'bridge',
      mac: '02:00:00:00:00:01',
      up: true,
      running: false,
      lowerUp: false,
      carrier: false,
      operationalState: 'down',
      minimumMtu: 68,
      maximumMtu: 65535,
      bridge: {
        stp: true,
        priority: 4096,
        ageingTime: 300,
        forwardDelay: 15,
        helloTime: 2,
        maximumAge: 20,
        vlanFiltering: false,
        multicastSnooping: true,
        bridgeId: '1000.020000000001',
        rootId: '1000.020000000001',
        rootPort: 0,
        rootPathCost: 0,
      },
    });
  });

  it('reads a veth that is a port, with its other end and alias', () => {
    expect(link(linkMessages.va)).toMatchObject({
      index: 4,
      name: 'va',
      kind: 'veth',
      link: 3,
      linkNamespaceId: undefined,
      master: 2,
      alias: 'netloom lab one',
      up: true,
      lowerUp: true,
      carrier: true,
      operationalState: 'up',
      promiscuity: 1,
      promiscuous: true,
      transmitQueues: 2,
      receiveQueues: 2,
      group: 0,
      portKind: 'bridge',
      bridgePort: {
        state: 'listening',
        priority: 32,
        cost: 2,
        number: 1,
        learning: true,
        unicastFlood: true,
        hairpin: false,
        guard: false,
        isolated: false,
      },
    });
    expect(link(linkMessages.vb)?.bridgePort?.state).toBe('blocking');
  });

  it('reads addresses with label, flags and maker', () => {
    const read = (text: string): ReturnType<typeof decodeAddress> => {
      const bytes = Buffer.from(text, 'hex');
      return decodeAddress(bytes, 16, bytes.length);
    };
    expect(read(addressMessages.ipv4)).toMatchObject({
      family: 4,
      address: '10.0.0.1',
      prefixLength: 24,
      broadcast: '10.0.0.255',
      label: 'br0:x',
      interfaceIndex: 2,
      scope: 'global',
      permanent: true,
      tentative: false,
      validLifetime: undefined,
      peer: undefined,
      protocol: 0,
    });
    expect(read(addressMessages.ipv6)).toMatchObject({
      family: 6,
      address: '2001:db8::1',
      prefixLength: 64,
      permanent: true,
    });
    // IFAPROT_KERNEL_LL
    expect(read(addressMessages.linkLocalVa)).toMatchObject({
      address: 'fe80::ff:fe00:2',
      scope: 'link',
      protocol: 3,
    });
  });

  it('reads routes', () => {
    const read = (text: string): ReturnType<typeof decodeRoute> => {
      const bytes = Buffer.from(text, 'hex');
      return decodeRoute(bytes, 16, bytes.length);
    };
    expect(read(routeMessages.ipv4Prefix)).toMatchObject({
      family: 4,
      destination: '10.0.0.0/24',
      gateway: undefined,
      interfaceIndex: 2,
      protocol: 2,
      scope: 'link',
      type: 'unicast',
      preferredSource: '10.0.0.1',
      table: 254,
      metric: undefined,
      dead: true,
    });
    expect(read(routeMessages.ipv4Gateway)).toMatchObject({
      destination: '10.9.0.0/16',
      gateway: '10.0.0.7',
      metric: 50,
      protocol: 77,
    });
    expect(read(routeMessages.ipv6Default)).toMatchObject({
      family: 6,
      destination: 'default',
      gateway: '2001:db8::7',
      metric: 1024,
      cloned: false,
    });
  });

  it('survives a cut at every byte', () => {
    for (const bytes of everything) {
      const type = bytes.readUInt16LE(4);
      for (let end = 16; end <= bytes.length; end += 1) {
        expect(() => decodeMessage(type, bytes.subarray(0, end), 16, end)).not.toThrow();
        // A length that lies about the buffer.
        expect(() => decodeMessage(type, bytes.subarray(0, end), 16, bytes.length)).not.toThrow();
      }
    }
  });

  it('survives any flipped bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...everything),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 12 }),
        (message, changes) => {
          const bytes = Buffer.from(message);
          for (const [place, value] of changes) bytes[16 + (place % (bytes.length - 16))] = value;
          for (const type of [16, 20, 24, 88]) decodeMessage(type, bytes, 16, bytes.length);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
