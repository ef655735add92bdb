/** What the forms of Open vSwitch ask for, and how what they ask for becomes settings of the document. Pure. */
import {
  type OvsBridgeNode,
  openFlowVersions,
  ovsBondModes,
  type OvsPortSettings,
} from '../../../agent/api/index.ts';
import type { OvsPortKind } from '../document/devices.ts';
import type { WantedSettings } from '../document/node-kinds.ts';
import type { SettingField } from './setting-fields.ts';

const whole = (least: number, most: number) => ({ type: 'integer', least, most }) as const;
const vlanId = whole(1, 4094);
const most32 = 4294967295;

export const ovsBridgeFields: readonly SettingField[] = [
  {
    key: 'failMode',
    label: 'failMode',
    input: { type: 'choice', choices: ['standalone', 'secure'], initial: 'standalone' },
    common: true,
  },
  {
    key: 'datapathId',
    label: 'datapathId',
    input: { type: 'text' },
    placeholder: '0000000000000001',
  },
  {
    key: 'controllers',
    label: 'controllers',
    input: { type: 'words' },
    common: true,
    wide: true,
    placeholder: 'tcp:10.0.0.1:6653',
  },
  {
    key: 'protocols',
    label: 'protocols',
    input: { type: 'choices', choices: openFlowVersions },
    wide: true,
  },
  { key: 'vlan', label: 'ownVlan', input: vlanId, common: true },
  { key: 'stp', label: 'stp', input: { type: 'flag', initial: false }, common: true, wide: true },
  { key: 'rstp', label: 'rstp', input: { type: 'flag', initial: false }, common: true, wide: true },
  {
    key: 'multicastSnooping',
    label: 'multicastSnooping',
    input: { type: 'flag', initial: false },
    wide: true,
  },
  {
    key: 'priority',
    label: 'priority',
    input: {
      type: 'choice',
      choices: Array.from({ length: 16 }, (_each, index) => String(index * 4096)),
      initial: '32768',
    },
  },
  { key: 'ageingTime', label: 'ageingTime', input: whole(15, 3600), placeholder: '300' },
  { key: 'forwardDelay', label: 'forwardDelay', input: whole(4, 30), placeholder: '15' },
  { key: 'helloTime', label: 'helloTime', input: whole(1, 10), placeholder: '2' },
  { key: 'maximumAge', label: 'maximumAge', input: whole(6, 40), placeholder: '20' },
  { key: 'uplink', label: 'uplink', input: { type: 'name' }, wide: true },
];

const local: SettingField = { key: 'local', label: 'local', input: { type: 'text' }, common: true };
const remote: SettingField = {
  key: 'remote',
  label: 'remote',
  input: { type: 'text' },
  common: true,
  required: true,
};
const vni: SettingField = { key: 'key', label: 'vni', input: whole(0, 16777215), common: true };
const udpPort = (placeholder: string): SettingField => ({
  key: 'port',
  label: 'udpPort',
  input: whole(1, 65535),
  placeholder,
});

/** Of what the port is; what all ports have is below. */
export const ovsKindFields: Readonly<Record<OvsPortKind, readonly SettingField[]>> = {
  internal: [],
  physical: [],
  tap: [
    { key: 'owner', label: 'owner', input: whole(0, 4294967294) },
    { key: 'group', label: 'group', input: whole(0, 4294967294) },
    { key: 'multiQueue', label: 'multiQueue', input: { type: 'flag', initial: false } },
  ],
  vxlan: [remote, vni, local, udpPort('4789')],
  gre: [remote, { key: 'key', label: 'key', input: whole(0, most32), common: true }, local],
  geneve: [remote, vni, local, udpPort('6081')],
  bond: [
    {
      key: 'members',
      label: 'members',
      input: { type: 'members', least: 2 },
      common: true,
      wide: true,
      required: true,
    },
    {
      key: 'mode',
      label: 'mode',
      input: { type: 'choice', choices: ovsBondModes, initial: 'active-backup' },
      common: true,
    },
    {
      key: 'lacp',
      label: 'lacp',
      input: { type: 'choice', choices: ['off', 'active', 'passive'], initial: 'off' },
      common: true,
    },
    {
      key: 'lacpTime',
      label: 'lacpTime',
      input: { type: 'choice', choices: ['slow', 'fast'], initial: 'slow' },
    },
    { key: 'lacpFallback', label: 'lacpFallback', input: { type: 'flag', initial: false } },
    { key: 'upDelay', label: 'upDelay', input: whole(0, 600000), placeholder: '0' },
    { key: 'downDelay', label: 'downDelay', input: whole(0, 600000), placeholder: '0' },
  ],
};

export const ovsPortFields: readonly SettingField[] = [
  { key: 'openFlowPort', label: 'openFlowPort', input: whole(1, 65279) },
  { key: 'cost', label: 'cost', input: whole(1, 200000000) },
  { key: 'priority', label: 'portPriority', input: whole(0, 240), placeholder: '128' },
];

export const policingFields: readonly SettingField[] = [
  {
    key: 'rate',
    label: 'policingRate',
    input: { type: 'rate' },
    common: true,
    required: true,
    placeholder: '10mbit',
  },
  { key: 'burst', label: 'burst', input: { type: 'size' }, common: true, placeholder: '1mbit' },
];

export const qosFields: readonly SettingField[] = [
  {
    key: 'type',
    label: 'qosType',
    input: { type: 'choice', choices: ['linux-htb', 'linux-hfsc'], initial: 'linux-htb' },
    common: true,
  },
  {
    key: 'maximumRate',
    label: 'maximumRate',
    input: { type: 'rate' },
    common: true,
    placeholder: '100mbit',
  },
];

export const queueFields: readonly SettingField[] = [
  { key: 'minimumRate', label: 'minimumRate', input: { type: 'rate' }, common: true },
  { key: 'maximumRate', label: 'maximumRate', input: { type: 'rate' }, common: true },
  { key: 'priority', label: 'queuePriority', input: whole(0, most32) },
];

const targets: SettingField = {
  key: 'targets',
  label: 'targets',
  input: { type: 'words' },
  common: true,
  wide: true,
  required: true,
};
const sampling: SettingField = {
  key: 'sampling',
  label: 'sampling',
  input: whole(1, most32),
  common: true,
};

export const exportKinds = ['netflow', 'sflow', 'ipfix'] as const;
export type ExportKind = (typeof exportKinds)[number];

export const exportFields: Readonly<Record<ExportKind, readonly SettingField[]>> = {
  netflow: [
    targets,
    { key: 'activeTimeout', label: 'activeTimeout', input: whole(0, 86400), common: true },
    { key: 'engineType', label: 'engineType', input: whole(0, 255) },
    { key: 'engineId', label: 'engineId', input: whole(0, 255) },
    {
      key: 'addIdToInterface',
      label: 'addIdToInterface',
      input: { type: 'flag', initial: false },
      wide: true,
    },
  ],
  sflow: [
    targets,
    sampling,
    { key: 'polling', label: 'polling', input: whole(0, 86400), common: true },
    { key: 'header', label: 'header', input: whole(14, 1500), placeholder: '128' },
    { key: 'agent', label: 'exportAgent', input: { type: 'name' } },
  ],
  ipfix: [
    targets,
    sampling,
    { key: 'observationDomain', label: 'observationDomain', input: whole(0, most32) },
    { key: 'observationPoint', label: 'observationPoint', input: whole(0, most32) },
    { key: 'cacheActiveTimeout', label: 'cacheActiveTimeout', input: whole(0, 4200) },
    { key: 'cacheMaximumFlows', label: 'cacheMaximumFlows', input: whole(0, most32) },
  ],
};

/** Ports that collectors usually listen at. */
export const exportTarget: Readonly<Record<ExportKind, string>> = {
  netflow: '10.0.0.1:2055',
  sflow: '10.0.0.1:6343',
  ipfix: '10.0.0.1:4739',
};

export const mirrorFields: readonly SettingField[] = [
  {
    key: 'all',
    label: 'mirrorAll',
    input: { type: 'flag', initial: false },
    common: true,
    wide: true,
  },
  { key: 'source', label: 'mirrorSource', input: { type: 'members' }, common: true, wide: true },
  {
    key: 'destination',
    label: 'mirrorDestination',
    input: { type: 'members' },
    common: true,
    wide: true,
  },
  { key: 'vlans', label: 'mirrorVlans', input: { type: 'vlans' } },
  { key: 'output', label: 'outputPort', input: { type: 'interface' }, common: true },
  { key: 'outputVlan', label: 'outputVlan', input: vlanId },
];

type Mirror = NonNullable<OvsBridgeNode['mirrors']>[string];

/** A mirror as its fields have it: where the copies go is one of two. */
export function mirrorValues(mirror: Mirror): Readonly<Record<string, unknown>> {
  const { output, ...rest } = mirror;
  return typeof output === 'string' ? { ...rest, output } : { ...rest, outputVlan: output.vlan };
}

/** A mirror with one field written; null where nothing would say where the copies go. */
export function withMirrorValue(
  mirror: Mirror,
  key: string,
  value: unknown,
): Readonly<Record<string, unknown>> | null {
  const { output, ...rest } = mirror;
  const kept = Object.fromEntries(
    Object.entries({ ...rest, ...(key.startsWith('output') ? {} : { [key]: value }) }).filter(
      ([, each]) => each !== undefined,
    ),
  );
  if (!key.startsWith('output')) return { ...kept, output };
  if (value === undefined) {
    // The other of the two may still say it.
    const other = (key === 'output') === (typeof output === 'string');
    return other ? null : { ...kept, output };
  }
  return { ...kept, output: key === 'output' ? value : { vlan: value } };
}

export const vlanModes = ['all', 'access', 'trunk', 'native-untagged', 'native-tagged'] as const;
export type VlanMode = (typeof vlanModes)[number];

interface VlanSettings {
  readonly vlan?: number | undefined;
  readonly trunk?: readonly number[] | undefined;
  readonly native?: number | undefined;
  readonly nativeMode?: 'tagged' | 'untagged' | undefined;
}

export function vlanSettingsOf(settings: WantedSettings): VlanSettings {
  return {
    ...('vlan' in settings ? { vlan: settings.vlan } : {}),
    ...('trunk' in settings ? { trunk: settings.trunk } : {}),
    ...('native' in settings ? { native: settings.native } : {}),
    ...('nativeMode' in settings ? { nativeMode: settings.nativeMode } : {}),
  };
}

export function vlanModeOf({ vlan, trunk, native, nativeMode }: VlanSettings): VlanMode {
  if (native !== undefined) return `native-${nativeMode ?? 'untagged'}`;
  if (trunk !== undefined && trunk.length > 0) return 'trunk';
  return vlan === undefined ? 'all' : 'access';
}

/** What to write for a port to become of that mode: the numbers that it has are kept where they still mean something. */
export function withVlanMode(
  { vlan, trunk, native }: VlanSettings,
  mode: VlanMode,
): Record<keyof VlanSettings, unknown> {
  const none = { vlan: undefined, trunk: undefined, native: undefined, nativeMode: undefined };
  switch (mode) {
    case 'all':
      return none;
    case 'access':
      return { ...none, vlan: vlan ?? native ?? trunk?.[0] ?? 10 };
    case 'trunk':
      return { ...none, trunk: trunk ?? [vlan ?? 10] };
    case 'native-untagged':
    case 'native-tagged':
      return {
        ...none,
        trunk,
        native: native ?? vlan ?? 1,
        nativeMode: mode === 'native-tagged' ? 'tagged' : undefined,
      };
  }
}

const vlanField: SettingField = {
  key: 'vlan',
  label: 'vlan',
  input: vlanId,
  common: true,
  required: true,
};
const trunkField: SettingField = {
  key: 'trunk',
  label: 'trunk',
  input: { type: 'vlans' },
  common: true,
};
const nativeField: SettingField = {
  key: 'native',
  label: 'native',
  input: vlanId,
  common: true,
  required: true,
};

export function vlanFieldsOf(mode: VlanMode): readonly SettingField[] {
  switch (mode) {
    case 'all':
      return [];
    case 'access':
      return [vlanField];
    case 'trunk':
      return [{ ...trunkField, required: true }];
    case 'native-untagged':
    case 'native-tagged':
      return [nativeField, trunkField];
  }
}

export type Qos = NonNullable<Extract<OvsPortSettings, { kind: 'internal' }>['qos']>;

/** The queues by number, ascending. */
export function queuesOf(qos: Qos | undefined): readonly (readonly [string, object])[] {
  return Object.entries(qos?.queues ?? {}).sort(([one], [other]) => Number(one) - Number(other));
}

/** The lines of a text: what a person pastes, without what is empty or a remark. */
export function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
