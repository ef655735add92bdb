/** What a document means where it speaks of Open vSwitch: the part of validation that looks at one bridge. */
import type { LabNode } from '../api/document.ts';
import type { OvsBridgeNode, OvsPortSettings } from '../api/document-ovs.ts';
import { parseHostAddress } from './address.ts';
import type { HostAddress } from './address.ts';
import { bitsPerSecond } from './device.ts';
import {
  hostOfTarget,
  isTunnelPort,
  type OvsBondPort,
  type OvsPortWords,
  type OvsTunnelPort,
} from './ovs-network.ts';
import { bears, findUnderlay, ovsTunnelOverhead, type UnderlayInterface } from './ovs-underlay.ts';
import type { DocumentPath } from './findings.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

/** An interface that bears an address. */
export interface Bearer extends UnderlayInterface {
  /** Whether Open vSwitch makes it, or gives its address to a port of its own. */
  readonly isInternal: boolean;
  readonly mtu: number;
}

export interface FarEnd {
  readonly label: string;
  readonly mtu: number;
  readonly path: DocumentPath;
}

export interface OvsSurroundings {
  readonly nodes: ReadonlyMap<string, LabNode>;
  readonly report: (
    code: SentenceCode,
    object: string,
    values: SentenceValues,
    path: DocumentPath,
  ) => void;
  readonly advise: (
    code: SentenceCode,
    object: string,
    values: SentenceValues,
    path: DocumentPath,
  ) => void;
  readonly hasInterface: (namespace: string | null, name: string) => boolean;
  /** Whether a port of a bridge is the end of a link, or a tap. */
  readonly isLink: (bridge: string, port: string) => boolean;
  /** Whether it is a patch port. */
  readonly isPatch: (bridge: string, port: string) => boolean;
  readonly bearersIn: (namespace: string | null) => readonly Bearer[];
  /** Who sends and receives through a bridge: the other ends of its links, and its own interfaces with addresses. */
  readonly endsAt: (bridge: string) => readonly FarEnd[];
}

export function validateOvs(surroundings: OvsSurroundings): void {
  for (const [name, node] of surroundings.nodes) {
    if (node.kind === 'ovs-bridge') new BridgeValidator(surroundings, name, node).run();
  }
}

class BridgeValidator {
  private readonly around: OvsSurroundings;
  private readonly name: string;
  private readonly node: OvsBridgeNode;
  private readonly path: DocumentPath;

  constructor(around: OvsSurroundings, name: string, node: OvsBridgeNode) {
    this.around = around;
    this.name = name;
    this.node = node;
    this.path = ['topology', 'nodes', name];
  }

  run(): void {
    this.checkDatapath();
    this.checkTree();
    for (const [port, settings] of Object.entries(this.node.ports ?? {})) {
      this.checkPort(port, settings);
    }
    this.checkBonds();
    this.checkTunnels();
    this.checkMirrors();
    this.checkTargets();
    this.checkOpenFlow();
  }

  private report(
    code: SentenceCode,
    values: SentenceValues,
    path: DocumentPath,
    object = this.name,
  ): void {
    this.around.report(code, object, values, [...this.path, ...path]);
  }

  /** Bridges of one namespace share an Open vSwitch. */
  private checkDatapath(): void {
    const { node, name } = this;
    for (const [other, one] of this.around.nodes) {
      if (other === name) return;
      if (one.kind !== 'ovs-bridge' || one.namespace !== node.namespace) continue;
      if (one.datapath === undefined || node.datapath === undefined) continue;
      if (one.datapath === node.datapath) continue;
      this.report('ovs-datapaths-mixed', { bridge: name, other }, ['datapath']);
      return;
    }
  }

  private checkTree(): void {
    const { node, name } = this;
    if (node.stp === true && node.rstp === true) {
      this.report('stp-and-rstp', { bridge: name }, ['rstp']);
    }
    const tree = node.stp === true || node.rstp === true;
    const unused = (['priority', 'forwardDelay', 'helloTime', 'maximumAge'] as const).filter(
      (key) => node[key] !== undefined && (!tree || (key === 'helloTime' && node.stp !== true)),
    );
    for (const key of unused) {
      this.around.advise('tree-setting-unused', name, { bridge: name, key }, [...this.path, key]);
    }
    for (const [port, { cost, priority }] of Object.entries(node.ports ?? {})) {
      const label = `${name}:${port}`;
      const path = [...this.path, 'ports', port];
      const key = cost !== undefined ? 'cost' : priority !== undefined ? 'priority' : null;
      if (key !== null && !tree) {
        this.around.advise('tree-setting-unused', label, { bridge: name, key }, [...path, key]);
      }
      if (node.stp === true && cost !== undefined && cost > 65535) {
        this.report(
          'stp-cost-too-high',
          { port: label, limit: 65535 },
          ['ports', port, 'cost'],
          label,
        );
      }
    }
  }

  private checkPort(port: string, settings: OvsPortSettings): void {
    const label = `${this.name}:${port}`;
    const path = ['ports', port];
    const { vlan, trunk, native, nativeMode, qos, policing } = settings;
    if (vlan !== undefined && (trunk !== undefined || native !== undefined)) {
      this.report('access-and-trunk', { port: label, vlan }, path, label);
    }
    if (nativeMode !== undefined && native === undefined) {
      this.report('native-mode-without-native', { port: label }, [...path, 'nativeMode'], label);
    }
    if (settings.kind === 'physical' && this.node.namespace !== undefined) {
      const values = { interface: port, node: this.node.namespace };
      this.report('physical-port-inside', values, [...path, 'kind'], label);
    }
    const kind = isTunnelPort(settings)
      ? settings.kind
      : this.around.isPatch(this.name, port)
        ? 'patch'
        : null;
    for (const key of ['qos', 'policing'] as const) {
      if (settings[key] === undefined || kind === null) continue;
      this.report('qos-not-possible', { port: label, kind, key }, [...path, key], label);
    }
    if (kind === 'patch') {
      for (const key of ['mac', 'mtu', 'state', 'impairment'] as const) {
        if (!(key in settings)) continue;
        this.report('patch-setting', { port: label, key }, [...path, key], label);
      }
    }
    if (qos !== undefined && 'impairment' in settings && settings.impairment !== undefined) {
      this.report('qos-and-impairment', { port: label }, [...path, 'qos'], label);
    }
    const rates: (readonly [string | undefined, DocumentPath])[] = [
      [qos?.maximumRate, ['qos', 'maximumRate']],
      [policing?.rate, ['policing', 'rate']],
    ];
    for (const [id, queue] of Object.entries(qos?.queues ?? {})) {
      rates.push([queue.minimumRate, ['qos', 'queues', id, 'minimumRate']]);
      rates.push([queue.maximumRate, ['qos', 'queues', id, 'maximumRate']]);
      const least = bitsPerSecond(queue.minimumRate ?? '0bit') ?? 0;
      const most = bitsPerSecond(queue.maximumRate ?? '') ?? Infinity;
      if (least > most) {
        this.report(
          'queue-rates-swapped',
          { queue: id, port: label },
          [...path, 'qos', 'queues', id],
          label,
        );
      }
    }
    for (const [rate, at] of rates) {
      // The kernel counts in kilobits here.
      if (rate === undefined || (bitsPerSecond(rate) ?? 0) >= 1000) continue;
      this.report('ovs-rate-too-low', { rate }, [...path, ...at], label);
    }
  }

  private checkBonds(): void {
    const ports = this.node.ports ?? {};
    const taken = new Map<string, string>();
    for (const [name, bond] of Object.entries(ports)) {
      if (bond.kind !== 'bond') continue;
      const label = `${this.name}:${name}`;
      for (const [index, member] of bond.members.entries()) {
        const path = ['ports', name, 'members', index];
        const other = taken.get(member);
        if (!this.around.isLink(this.name, member)) {
          const values = { interface: member, node: this.name };
          this.report('bond-member-not-link', { ...values, bond: name }, path, label);
        } else if (other !== undefined) {
          this.report('member-of-two', { interface: member, other }, path, label);
        } else {
          taken.set(member, name);
          this.checkMember(name, member, own(ports, member) ?? {});
        }
      }
      this.checkBond(label, name, bond);
    }
  }

  private checkMember(bond: string, member: string, settings: OvsPortSettings): void {
    const words: readonly (keyof OvsPortWords)[] = [
      'vlan',
      'trunk',
      'native',
      'nativeMode',
      'qos',
      'cost',
      'priority',
    ];
    for (const key of words) {
      if (settings[key] === undefined) continue;
      const values = { interface: member, bond, key };
      this.report('bond-member-setting', values, ['ports', member, key], `${this.name}:${member}`);
    }
  }

  private checkBond(label: string, name: string, bond: OvsBondPort): void {
    const lacp = bond.lacp ?? 'off';
    if (bond.mode === 'balance-tcp' && lacp === 'off') {
      this.report('balance-tcp-without-lacp', { bond: name }, ['ports', name, 'mode'], label);
    }
    for (const key of ['policing', 'openFlowPort'] as const) {
      if (bond[key] === undefined) continue;
      this.report('bond-setting', { bond: name, key }, ['ports', name, key], label);
    }
  }

  // Tunnels

  private checkTunnels(): void {
    const seen = new Map<string, string>();
    for (const [name, port] of Object.entries(this.node.ports ?? {})) {
      if (!isTunnelPort(port)) continue;
      const path = ['ports', name];
      const label = `${this.name}:${name}`;
      const [remote, local] = [port.remote, port.local].map((text) =>
        text === undefined ? null : parseHostAddress(text),
      );
      for (const key of ['remote', 'local'] as const) {
        const text = port[key];
        if (text === undefined || parseHostAddress(text) !== null) continue;
        this.report('invalid-host', { text }, [...path, key], label);
      }
      if (remote === null || remote === undefined) continue;
      if (port.local !== undefined && (local === null || local === undefined)) continue;
      if (local !== null && local !== undefined && local.family !== remote.family) {
        this.report('unlike-ends', { local: local.text, remote: remote.text }, path, label);
        continue;
      }
      const key = `${port.kind} ${remote.text} ${local?.text ?? ''} ${port.key ?? ''}`;
      const other = seen.get(key);
      if (other !== undefined) this.report('duplicate-tunnel', { port: name, other }, path, label);
      seen.set(key, name);
      this.checkUnderlay(label, path, port, remote, local ?? null);
    }
  }

  /** Open vSwitch looks its tunnels' way up itself, and sends only from addresses on bridges of its own. */
  private checkUnderlay(
    label: string,
    path: DocumentPath,
    port: OvsTunnelPort,
    remote: HostAddress,
    local: HostAddress | null,
  ): void {
    const namespace = this.node.namespace ?? null;
    const bearers = this.around.bearersIn(namespace);
    const place = namespace ?? this.name;
    if (bearers.some(bears(remote))) {
      this.report('tunnel-to-itself', { node: place }, [...path, 'remote'], label);
      return;
    }
    const node = namespace === null ? undefined : this.around.nodes.get(namespace);
    const bearer = findUnderlay(remote, local, node, bearers);
    if (bearer === undefined) {
      // The realm's own namespace may have more than the document knows.
      if (namespace === null) return;
      if (local === null) {
        this.report(
          'tunnel-without-route',
          { remote: remote.text, node: place },
          [...path, 'remote'],
          label,
        );
      } else {
        this.report(
          'underlay-not-own',
          { address: local.text, node: place },
          [...path, 'local'],
          label,
        );
      }
      return;
    }
    if (!bearer.isInternal) {
      const values = { interface: bearer.name, node: place, port: label };
      this.report(
        'underlay-on-link',
        values,
        [...path, local === null ? 'remote' : 'local'],
        label,
      );
      return;
    }
    const limit = bearer.mtu - ovsTunnelOverhead(port, remote.family);
    for (const end of this.around.endsAt(this.name)) {
      if (end.mtu <= limit) continue;
      const values = { mtu: end.mtu, limit, underlay: bearer.name };
      this.around.advise('mtu-beyond-ovs-tunnel', end.label, { ...values, port: label }, end.path);
    }
  }

  // Mirrors, flow export and controllers

  private checkMirrors(): void {
    const known = new Set([this.name]);
    const members = new Set(
      Object.values(this.node.ports ?? {}).flatMap((port) =>
        port.kind === 'bond' ? port.members : [],
      ),
    );
    const isPort = (port: string): boolean =>
      known.has(port) ||
      (!members.has(port) &&
        (own(this.node.ports ?? {}, port) !== undefined ||
          this.around.isLink(this.name, port) ||
          this.around.isPatch(this.name, port)));
    for (const [name, mirror] of Object.entries(this.node.mirrors ?? {})) {
      const path = ['mirrors', name];
      for (const key of ['source', 'destination'] as const) {
        for (const [index, port] of (mirror[key] ?? []).entries()) {
          if (isPort(port)) continue;
          this.report('mirror-port-unknown', { mirror: name, port, bridge: this.name }, [
            ...path,
            key,
            index,
          ]);
        }
      }
      const { output } = mirror;
      const selected = [...(mirror.source ?? []), ...(mirror.destination ?? [])];
      if (mirror.all !== true && selected.length === 0 && (mirror.vlans ?? []).length === 0) {
        this.report('mirror-selects-nothing', { mirror: name }, path);
      }
      if (typeof output !== 'string') continue;
      if (!isPort(output)) {
        const values = { mirror: name, port: output, bridge: this.name };
        this.report('mirror-port-unknown', values, [...path, 'output']);
      } else if (selected.includes(output)) {
        this.report('mirror-output-selected', { mirror: name, port: output }, [...path, 'output']);
      }
    }
  }

  private checkTargets(): void {
    for (const table of ['netflow', 'sflow', 'ipfix'] as const) {
      for (const [index, text] of (this.node[table]?.targets ?? []).entries()) {
        const port = /:(?<port>\d{1,5})$/.exec(text)?.groups?.['port'];
        const isGood =
          hostOfTarget(text) !== null &&
          (text.includes('[') || text.split(':').length === 2) &&
          isPortNumber(port);
        if (!isGood) this.report('invalid-target', { text }, [table, 'targets', index]);
      }
    }
    const agent = this.node.sflow?.agent;
    const namespace = this.node.namespace ?? null;
    if (agent !== undefined && !this.around.hasInterface(namespace, agent)) {
      const values = { interface: agent, node: namespace ?? this.name };
      this.report('unknown-interface', values, ['sflow', 'agent']);
    }
    for (const [index, text] of (this.node.controllers ?? []).entries()) {
      if (!isController(text)) this.report('invalid-controller', { text }, ['controllers', index]);
    }
  }

  private checkOpenFlow(): void {
    const { groups, meters, flows, protocols } = this.node;
    const newest = [...(protocols ?? ['OpenFlow15'])].sort().at(-1) ?? 'OpenFlow15';
    const needs = [
      ['groups', groups, 'OpenFlow11'],
      ['meters', meters, 'OpenFlow13'],
    ] as const;
    for (const [what, lines, version] of needs) {
      if ((lines ?? []).length === 0 || newest >= version) continue;
      this.report('protocols-too-old', { what, version, bridge: this.name }, ['protocols']);
    }
    const numbers = (lines: readonly string[] | undefined, pattern: RegExp): ReadonlySet<string> =>
      new Set((lines ?? []).flatMap((line) => pattern.exec(line)?.[1] ?? []));
    const made = {
      group: numbers(groups, /\bgroup_id\s*=\s*(\d+)/),
      meter: numbers(meters, /\bmeter\s*=\s*(\d+)/),
    };
    for (const [index, line] of (flows ?? []).entries()) {
      for (const kind of ['group', 'meter'] as const) {
        for (const [, number = ''] of line.matchAll(
          kind === 'group' ? /\bgroup:(\d+)/g : /\bmeter:(\d+)/g,
        )) {
          if (made[kind].has(number)) continue;
          this.report(
            kind === 'group' ? 'unknown-group' : 'unknown-meter',
            { number, bridge: this.name },
            ['flows', index],
          );
        }
      }
    }
  }
}

function isPortNumber(text: string | undefined): boolean {
  return text !== undefined && Number(text) >= 1 && Number(text) <= 65535;
}

/** A controller that the switch calls, or that calls the switch (ovs-vswitchd.conf.db(5)). */
function isController(text: string): boolean {
  const match = /^(?<scheme>tcp|ssl|ptcp|pssl|unix|punix):(?<rest>.*)$/.exec(text)?.groups;
  const [scheme, rest] = [match?.['scheme'], match?.['rest'] ?? ''];
  if (scheme === undefined) return false;
  if (scheme === 'unix' || scheme === 'punix') return /^\/[^\s]+$/.test(rest);
  if (scheme === 'ptcp' || scheme === 'pssl') {
    const passive = /^(?<port>\d{0,5})(?::(?<host>.+))?$/.exec(rest)?.groups;
    if (passive === undefined) return false;
    const host = passive['host'];
    const port = passive['port'] ?? '';
    return (
      (port === '' || isPortNumber(port)) && (host === undefined || hostOfTarget(host) !== null)
    );
  }
  const port = /(?:\]|^[^:]*):(?<port>\d{1,5})$/.exec(rest)?.groups?.['port'];
  return hostOfTarget(rest) !== null && (port === undefined || isPortNumber(port));
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** The pairs of tunnel ports that lead to each other, by bridge and port. */
export function tunnelPairs(
  nodes: ReadonlyMap<string, LabNode>,
  namespacesOf: (address: string) => readonly (string | null)[],
): readonly (readonly [readonly [string, string], readonly [string, string]])[] {
  const ends = [...nodes].flatMap(([bridge, node]) =>
    node.kind !== 'ovs-bridge'
      ? []
      : Object.entries(node.ports ?? {}).flatMap(([port, settings]) => {
          const remote = isTunnelPort(settings) ? parseHostAddress(settings.remote) : null;
          if (!isTunnelPort(settings) || remote === null) return [];
          return [
            {
              bridge,
              port,
              from: node.namespace ?? null,
              to: namespacesOf(remote.text),
              sort: `${settings.kind} ${settings.key ?? ''}`,
            },
          ];
        }),
  );
  return ends.flatMap((one, at) => {
    const other = ends
      .slice(at + 1)
      .find(
        (far) => far.sort === one.sort && one.to.includes(far.from) && far.to.includes(one.from),
      );
    return other === undefined
      ? []
      : [
          [
            [one.bridge, one.port],
            [other.bridge, other.port],
          ] as const,
        ];
  });
}
