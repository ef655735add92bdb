/** An Open vSwitch that did everything as asked, for the stand-in: engines, counters that rise, and one kind of trace. */
import {
  type LabDocument,
  namespaceOfNode,
  type OpenFlowList,
  type OpenFlowTrace,
  type OvsBridgeNode,
  type OvsBridgeView,
  type OvsEngineView,
  type OvsInterface,
  type OvsInterfaceState,
  type OvsPort,
  parseEndpoint,
} from '../../agent/api/index.ts';
import { interfacesOf, type WantedInterface } from '../topology/live.ts';
import { wantedOvsVlan } from '../topology/ovs-view.ts';

const common = { mac: null, mtu: null, openFlowPort: null, policing: null };

function interfaceOf({ name, settings, device, peer }: WantedInterface): OvsInterface {
  if (device === 'patch') {
    return {
      kind: 'patch',
      name,
      peer: peer === null ? '' : parseEndpoint(peer).interface,
      ...common,
    };
  }
  if ('remote' in settings && (device === 'vxlan' || device === 'gre' || device === 'geneve')) {
    return {
      kind: device,
      name,
      local: null,
      remote: settings.remote ?? '',
      key: 'key' in settings ? (settings.key ?? null) : null,
      port: null,
      ...common,
    };
  }
  return { kind: device === 'internal' ? 'internal' : 'system', name, ...common };
}

function bridgeViewOf(
  document: LabDocument,
  name: string,
  node: OvsBridgeNode,
  lab: string,
): OvsBridgeView {
  const all = interfacesOf(document, name);
  const bonds = all.filter((each) => each.settings.kind === 'bond');
  const membersOf = (bond: WantedInterface): readonly string[] =>
    'members' in bond.settings ? (bond.settings.members ?? []) : [];
  const members = new Set(bonds.flatMap(membersOf));
  const port = (each: WantedInterface): OvsPort => ({
    name: each.name,
    interfaces: [interfaceOf(each)],
    bond: null,
    vlan: wantedOvsVlan(each.settings),
    qos: null,
    cost: null,
    priority: null,
  });
  const ports = all
    .filter((each) => each.settings.kind !== 'bond' && !members.has(each.name))
    .map(port);
  const bonded = bonds.map((bond): OvsPort => {
    const { settings } = bond;
    return {
      ...port(bond),
      interfaces: all.filter((each) => membersOf(bond).includes(each.name)).map(interfaceOf),
      bond: {
        mode: settings.kind === 'bond' && 'lacp' in settings ? 'balance-tcp' : 'active-backup',
        lacp: 'off',
        lacpTime: 'slow',
        lacpFallback: false,
        upDelay: 0,
        downDelay: 0,
      },
    };
  });
  const tree = node.stp === true || node.rstp === true;
  const interfaces = all
    .filter((each) => each.settings.kind !== 'bond')
    .map((each, index): OvsInterfaceState => {
      const bond = bonds.find((one) => membersOf(one).includes(each.name));
      const at = bond === undefined ? 0 : membersOf(bond).indexOf(each.name);
      return {
        name: each.name,
        ofport: index + 1,
        error: null,
        linkUp: true,
        treeRole: tree ? (index === 0 ? 'root' : 'designated') : null,
        treeState: tree ? 'forwarding' : null,
        bondMember:
          bond === undefined ? null : { enabled: true, active: at === 0, lacp: 'current attached' },
      };
    });
  const own: OvsPort = {
    ...{ name, bond: null, qos: null, cost: null, priority: null },
    interfaces: [{ kind: 'internal', name, ...common }],
    vlan: { mode: 'trunk', tag: null, trunks: [] },
  };
  return {
    bridge: {
      name,
      datapathId: '0000aa1122334455',
      failMode: node.failMode ?? 'standalone',
      protocols: [],
      controllers: [...(node.controllers ?? [])],
      controllersOutOfBand: false,
      stp: node.stp ?? false,
      rstp: node.rstp ?? false,
      priority: null,
      forwardDelay: null,
      helloTime: null,
      maximumAge: null,
      ageingTime: null,
      multicastSnooping: node.multicastSnooping ?? false,
      mac: null,
      ports: [own, ...ports, ...bonded],
      mirrors: [],
      netflow: null,
      sflow: null,
      ipfix: null,
    },
    lab,
    intricate: false,
    tables: null,
    interfaces,
  };
}

/** `ids` are the namespaces' by name; null is the realm's own. */
export function enginesOf(
  lab: string,
  document: LabDocument,
  ids: ReadonlyMap<string | null, string>,
): OvsEngineView[] {
  const engines = new Map<string, OvsEngineView>();
  for (const [name, node] of Object.entries(document.topology.nodes)) {
    if (node.kind !== 'ovs-bridge') continue;
    const id = ids.get(namespaceOfNode(name, node));
    if (id === undefined) continue;
    const engine = engines.get(id) ?? {
      namespace: id,
      kind: 'private',
      datapath: 'netdev',
      version: '3.5.0',
      schemaVersion: '8.8.0',
      database: { pid: 310, running: true },
      switch: { pid: 311, running: true },
      events: [
        {
          time: Date.now() - 90_000,
          code: 'ovs-process-restarted',
          object: 'ovs-vswitchd',
          values: { part: 'ovs-vswitchd', pid: 311 },
          text: 'ovs-vswitchd was started again (process 311).',
        },
      ],
      bridges: [],
    };
    engines.set(id, {
      ...engine,
      bridges: [...engine.bridges, bridgeViewOf(document, name, node, lab)],
    });
  }
  return [...engines.values()];
}

const started = Date.now();

export function flowsOf(node: OvsBridgeNode): OpenFlowList {
  const seconds = (Date.now() - started) / 1000;
  const flows = (node.flows ?? ['priority=0 actions=NORMAL']).map((line, index) => {
    const [head = '', actions = ''] = line.split(/\s*actions=/);
    const parts = head.split(',').map((part) => part.trim());
    const value = (key: string) =>
      parts.find((part) => part.startsWith(`${key}=`))?.slice(key.length + 1);
    const packets = Math.floor(seconds * (index % 3)) * (index + 1);
    return {
      table: Number(value('table') ?? 0),
      priority: Number(value('priority') ?? 32768),
      cookie: '0x0',
      match: parts.filter((part) => part !== '' && !/^(?:table|priority)=/.test(part)).join(','),
      actions,
      packets,
      bytes: packets * 98,
      durationSeconds: seconds,
      idleAge: index % 3 === 0 ? Math.floor(seconds) : 0,
    };
  });
  flows.sort((one, other) => one.table - other.table || other.priority - one.priority);
  return { flows, total: flows.length };
}

/** In by the port that is named, then by patch ports through one bridge after the other, out by the first other port. */
export function traceOf(document: LabDocument, bridge: string, flow: string): OpenFlowTrace {
  const steps: OpenFlowTrace['steps'] = [];
  const outputs: OpenFlowTrace['result']['outputs'] = [];
  const seen = new Set<string>();
  const walk = (name: string, inPort: string | null, from: number | null) => {
    if (seen.has(name)) return;
    seen.add(name);
    const ports = interfacesOf(document, name).filter((each) => each.settings.kind !== 'bond');
    const out = ports.filter((each) => each.name !== inPort);
    const at = steps.length;
    steps.push({
      bridge: name,
      inPort,
      from,
      tables: [
        {
          table: 0,
          match: '',
          priority: 0,
          actions: ['NORMAL', '-> no learned MAC for destination, flooding'],
        },
      ],
      outPorts: out.map((each) => each.name),
    });
    for (const each of out) {
      if (each.device === 'patch' && each.peer !== null) {
        const peer = parseEndpoint(each.peer);
        walk(peer.node, peer.interface, at);
      } else outputs.push({ bridge: name, port: each.name });
    }
  };
  const inPort = /in_port=(?<port>[^,\s]+)/.exec(flow)?.groups?.['port'] ?? null;
  walk(bridge, inPort, null);
  return {
    flow,
    steps,
    result: {
      finalFlow: null,
      megaflow: 'recirc_id=0,eth,ip,in_port=1,nw_frag=no',
      datapathActions: outputs.length === 0 ? 'drop' : outputs.map((_each, at) => at + 2).join(','),
      outputs,
    },
  };
}
