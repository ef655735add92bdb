/** What the forms ask for, one table a thing, and how what is typed becomes a value of the document. Pure. */
import {
  bondHashPolicies,
  bondModes,
  type DeviceKind,
  macvlanModes,
  type NatRule,
  ratePattern,
} from '../../../agent/api/index.ts';
import type { english } from '../../app/text/english.ts';
import { parseVlans, vlanText } from '../live.ts';

export type FieldLabel = Exclude<keyof (typeof english)['field'], 'underlayOf'>;

export type FieldInput =
  | { readonly type: 'text' }
  | { readonly type: 'rate' }
  /** Bits, such as `800kbit`. */
  | { readonly type: 'size' }
  | { readonly type: 'integer' | 'number'; readonly least: number; readonly most: number }
  | { readonly type: 'vlans' }
  /** A port or a range of ports. */
  | { readonly type: 'ports' }
  /** Program and arguments. */
  | { readonly type: 'words' }
  /** `initial` is what it is when nothing is written. */
  | { readonly type: 'flag'; readonly initial: boolean }
  /** Of these; `initial` is written by leaving it out, and without one nothing need be chosen. */
  | { readonly type: 'choice'; readonly choices: readonly string[]; readonly initial?: string }
  /** Any number of these. */
  | { readonly type: 'choices'; readonly choices: readonly string[] }
  /** One of the node's interfaces. */
  | { readonly type: 'interface' }
  /** One of these interfaces or another: what there is may not be known yet. */
  | { readonly type: 'name' }
  /** Of which `least` have to stay. */
  | { readonly type: 'members'; readonly least?: number };

export interface SettingField {
  /** Key in the document. */
  readonly key: string;
  readonly label: FieldLabel;
  readonly input: FieldInput;
  readonly required?: true;
  /** Shown even when it is not set. */
  readonly common?: true;
  /** Takes the whole width. */
  readonly wide?: true;
  /** What holds when nothing is written. */
  readonly placeholder?: string;
}

const udpPort = (placeholder: string): SettingField => ({
  key: 'port',
  label: 'udpPort',
  input: { type: 'integer', least: 1, most: 65535 },
  placeholder,
});
const local: SettingField = { key: 'local', label: 'local', input: { type: 'text' }, common: true };
const remote: SettingField = {
  key: 'remote',
  label: 'remote',
  input: { type: 'text' },
  common: true,
};
const key: SettingField = {
  key: 'key',
  label: 'key',
  input: { type: 'integer', least: 0, most: 4294967295 },
};
const parent: SettingField = {
  key: 'parent',
  label: 'parent',
  input: { type: 'interface' },
  required: true,
  common: true,
};
const members: SettingField = {
  key: 'members',
  label: 'members',
  input: { type: 'members' },
  common: true,
  wide: true,
};
const vni: SettingField = {
  key: 'id',
  label: 'vni',
  input: { type: 'integer', least: 0, most: 16777215 },
  required: true,
  common: true,
};
const tunTap: readonly SettingField[] = [
  { key: 'owner', label: 'owner', input: { type: 'integer', least: 0, most: 4294967294 } },
  { key: 'group', label: 'group', input: { type: 'integer', least: 0, most: 4294967294 } },
  { key: 'multiQueue', label: 'multiQueue', input: { type: 'flag', initial: false } },
];

/** Of a virtual machine. */
export const machineFields: readonly SettingField[] = [
  {
    key: 'memory',
    label: 'memory',
    input: { type: 'integer', least: 16, most: 1048576 },
    common: true,
    placeholder: '128',
  },
  {
    key: 'cpus',
    label: 'cpus',
    input: { type: 'integer', least: 1, most: 255 },
    common: true,
    placeholder: '1',
  },
  { key: 'disk', label: 'disk', input: { type: 'text' }, common: true, wide: true },
  { key: 'kernel', label: 'kernel', input: { type: 'text' }, wide: true },
  { key: 'initramfs', label: 'initramfs', input: { type: 'text' }, wide: true },
  { key: 'append', label: 'append', input: { type: 'text' }, wide: true },
];

export const deviceFields: Readonly<Record<DeviceKind, readonly SettingField[]>> = {
  dummy: [],
  vlan: [
    parent,
    {
      key: 'id',
      label: 'id',
      input: { type: 'integer', least: 1, most: 4094 },
      required: true,
      common: true,
    },
    {
      key: 'protocol',
      label: 'protocol',
      input: { type: 'choice', choices: ['802.1Q', '802.1ad'], initial: '802.1Q' },
    },
  ],
  bond: [
    {
      key: 'mode',
      label: 'mode',
      input: { type: 'choice', choices: bondModes, initial: 'active-backup' },
      common: true,
      wide: true,
    },
    members,
    {
      key: 'monitorInterval',
      label: 'monitorInterval',
      input: { type: 'integer', least: 0, most: 60000 },
      placeholder: '100',
    },
    {
      key: 'hashPolicy',
      label: 'hashPolicy',
      input: { type: 'choice', choices: bondHashPolicies, initial: 'layer2' },
    },
  ],
  vxlan: [
    vni,
    udpPort('4789'),
    local,
    remote,
    { key: 'parent', label: 'parent', input: { type: 'interface' } },
  ],
  gre: [local, remote, key],
  gretap: [local, remote, key],
  ipip: [local, remote],
  geneve: [vni, { ...remote, required: true }, udpPort('6081')],
  macvlan: [
    parent,
    {
      key: 'mode',
      label: 'mode',
      input: { type: 'choice', choices: macvlanModes, initial: 'bridge' },
      common: true,
    },
  ],
  vrf: [
    {
      key: 'table',
      label: 'table',
      input: { type: 'integer', least: 1, most: 4294967295 },
      required: true,
      common: true,
    },
    members,
  ],
  tap: tunTap,
  tun: tunTap,
};

export const bridgeFields: readonly SettingField[] = [
  { key: 'stp', label: 'stp', input: { type: 'flag', initial: false }, common: true, wide: true },
  {
    key: 'vlanFiltering',
    label: 'vlanFiltering',
    input: { type: 'flag', initial: false },
    common: true,
    wide: true,
  },
  {
    key: 'multicastSnooping',
    label: 'multicastSnooping',
    input: { type: 'flag', initial: true },
    wide: true,
  },
  {
    key: 'priority',
    label: 'priority',
    input: { type: 'choice', choices: priorities(), initial: '32768' },
  },
  {
    key: 'ageingTime',
    label: 'ageingTime',
    input: { type: 'number', least: 0, most: 1000000 },
    placeholder: '300',
  },
  {
    key: 'forwardDelay',
    label: 'forwardDelay',
    input: { type: 'number', least: 2, most: 30 },
    placeholder: '15',
  },
  {
    key: 'helloTime',
    label: 'helloTime',
    input: { type: 'number', least: 1, most: 10 },
    placeholder: '2',
  },
  {
    key: 'maximumAge',
    label: 'maximumAge',
    input: { type: 'number', least: 6, most: 40 },
    placeholder: '20',
  },
  { key: 'vlans', label: 'vlans', input: { type: 'vlans' }, wide: true },
  { key: 'uplink', label: 'uplink', input: { type: 'name' }, wide: true },
];

/** Steps of 4096 (IEEE 802.1D). */
function priorities(): string[] {
  return Array.from({ length: 16 }, (_each, index) => String(index * 4096));
}

/** Of a bridge's port; those of VLANs count where the bridge filters. */
export function portFields(filtering: boolean, trunk: boolean): readonly SettingField[] {
  const vlan = filtering ? ({ common: true } as const) : {};
  return [
    {
      key: 'vlan',
      label: 'vlan',
      input: { type: 'integer', least: 1, most: 4094 },
      ...(trunk ? {} : { placeholder: '1' }),
      ...vlan,
    },
    { key: 'trunk', label: 'trunk', input: { type: 'vlans' }, ...vlan },
    { key: 'native', label: 'native', input: { type: 'integer', least: 1, most: 4094 } },
    { key: 'cost', label: 'cost', input: { type: 'integer', least: 1, most: 65535 } },
    {
      key: 'priority',
      label: 'portPriority',
      input: { type: 'integer', least: 0, most: 63 },
      placeholder: '32',
    },
    { key: 'isolated', label: 'isolated', input: { type: 'flag', initial: false } },
  ];
}

const percent = { type: 'number', least: 0, most: 100 } as const;
const milliseconds = { type: 'number', least: 0, most: 60000 } as const;

export const impairmentFields: readonly SettingField[] = [
  { key: 'delay', label: 'delay', input: milliseconds, common: true, placeholder: '0' },
  { key: 'jitter', label: 'jitter', input: milliseconds, placeholder: '0' },
  { key: 'loss', label: 'loss', input: percent, common: true, placeholder: '0' },
  { key: 'rate', label: 'rate', input: { type: 'rate' }, common: true, placeholder: '–' },
  { key: 'duplicate', label: 'duplicate', input: percent, placeholder: '0' },
  { key: 'reorder', label: 'reorder', input: percent, placeholder: '0' },
  { key: 'corrupt', label: 'corrupt', input: percent, placeholder: '0' },
];

const out: SettingField = {
  key: 'out',
  label: 'out',
  input: { type: 'interface' },
  required: true,
  common: true,
};
const from: SettingField = { key: 'from', label: 'from', input: { type: 'text' }, common: true };
const port = { type: 'integer', least: 1, most: 65535 } as const;

export const natFields: Readonly<Record<NatRule['kind'], readonly SettingField[]>> = {
  masquerade: [out, from],
  snat: [
    out,
    from,
    { key: 'to', label: 'natTo', input: { type: 'text' }, required: true, common: true },
  ],
  dnat: [
    { ...out, key: 'in', label: 'in' },
    {
      key: 'protocol',
      label: 'protocol',
      input: { type: 'choice', choices: ['tcp', 'udp'] },
      required: true,
      common: true,
    },
    { key: 'port', label: 'natPort', input: port, required: true, common: true },
    { key: 'toPort', label: 'toPort', input: port, common: true },
    {
      key: 'to',
      label: 'dnatTo',
      input: { type: 'text' },
      required: true,
      common: true,
      wide: true,
    },
  ],
};

export const filterFields: readonly SettingField[] = [
  {
    key: 'action',
    label: 'action',
    input: { type: 'choice', choices: ['accept', 'drop', 'reject'] },
    required: true,
    common: true,
  },
  {
    key: 'protocol',
    label: 'protocol',
    input: { type: 'choice', choices: ['tcp', 'udp', 'icmp', 'icmpv6'] },
    common: true,
  },
  from,
  { key: 'to', label: 'to', input: { type: 'text' }, common: true },
  { key: 'port', label: 'filterPort', input: { type: 'ports' }, common: true },
  { key: 'in', label: 'in', input: { type: 'interface' } },
  { key: 'out', label: 'out', input: { type: 'interface' } },
  {
    key: 'state',
    label: 'state',
    input: { type: 'choices', choices: ['new', 'established', 'related', 'invalid'] },
    wide: true,
  },
];

export const runFields: readonly SettingField[] = [
  {
    key: 'name',
    label: 'runName',
    input: { type: 'text' },
    required: true,
    common: true,
    wide: true,
  },
  {
    key: 'command',
    label: 'command',
    input: { type: 'words' },
    required: true,
    common: true,
    wide: true,
  },
];

export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A value of the document as it is typed. */
export function settingText(field: SettingField, value: unknown): string {
  if (!isSet(value)) return '';
  if (Array.isArray(value)) {
    return field.input.type === 'vlans'
      ? vlanText(value.map(Number))
      : joinWords(value.map(String));
  }
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

export type Objection =
  | {
      readonly key: 'required' | 'vlansHint' | 'rateHint' | 'sizeHint' | 'portsHint' | 'quoteHint';
    }
  | {
      readonly key: 'wholeNumber' | 'number';
      readonly values: { readonly least: number; readonly most: number };
    };

export type Setting =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly objection: Objection };

const no = (objection: Objection): Setting => ({ ok: false, objection });

/** The value that a text stands for; `undefined` for nothing written. */
export function parseSetting(field: SettingField, text: string): Setting {
  if (text === '') {
    return field.required === true ? no({ key: 'required' }) : { ok: true, value: undefined };
  }
  const { input } = field;
  switch (input.type) {
    case 'integer':
    case 'number': {
      const form = input.type === 'integer' ? /^\d{1,10}$/ : /^\d{1,7}(?:\.\d{1,6})?$/;
      const value = Number(text);
      if (form.test(text) && value >= input.least && value <= input.most) {
        return { ok: true, value };
      }
      const { least, most } = input;
      return no({
        key: input.type === 'integer' ? 'wholeNumber' : 'number',
        values: { least, most },
      });
    }
    case 'rate':
      return ratePattern.test(text) ? { ok: true, value: text } : no({ key: 'rateHint' });
    case 'size':
      return /^\d+(?:\.\d+)?[kmg]?bit$/.test(text)
        ? { ok: true, value: text }
        : no({ key: 'sizeHint' });
    case 'vlans': {
      const value = parseVlans(text);
      return value === null ? no({ key: 'vlansHint' }) : { ok: true, value };
    }
    case 'ports':
      if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535) {
        return { ok: true, value: Number(text) };
      }
      return /^\d{1,5}-\d{1,5}$/.test(text) ? { ok: true, value: text } : no({ key: 'portsHint' });
    case 'words': {
      const value = splitWords(text);
      return value === null ? no({ key: 'quoteHint' }) : { ok: true, value };
    }
    case 'choice':
      // Priorities of a bridge are numbers, every other choice is a word.
      return { ok: true, value: /^\d+$/.test(text) ? Number(text) : text };
    case 'text':
    case 'name':
    case 'interface':
    case 'flag':
    case 'choices':
    case 'members':
      return { ok: true, value: text };
  }
}

/** Words of a command line, with quotation marks and backslashes as a shell takes them; null for an open quote. */
export function splitWords(text: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let index = 0; index < text.length; index++) {
    const sign = text.charAt(index);
    if (quote === "'") {
      if (sign === "'") quote = null;
      else word = (word ?? '') + sign;
    } else if (sign === '\\' && index + 1 < text.length) {
      const next = text.charAt(++index);
      const kept = quote === '"' && next !== '"' && next !== '\\' ? sign : '';
      word = (word ?? '') + kept + next;
    } else if (quote === '"') {
      if (sign === '"') quote = null;
      else word = (word ?? '') + sign;
    } else if (sign === "'" || sign === '"') {
      quote = sign;
      word ??= '';
    } else if (/\s/.test(sign)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? '') + sign;
  }
  if (quote !== null) return null;
  if (word !== null) words.push(word);
  return words;
}

/** The command line that `splitWords` takes apart again. */
export function joinWords(words: readonly string[]): string {
  return words
    .map((word) =>
      word !== '' && /^[^\s'"\\]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
    )
    .join(' ');
}

/** A rule in one line, in the words of nftables. */
export function ruleText(rule: Readonly<Record<string, unknown>>): string {
  const { kind, action } = rule;
  const word = (name: string, key: string) => {
    const value = rule[key];
    if (Array.isArray(value)) return `${name} ${value.join(',')}`;
    return typeof value === 'string' || typeof value === 'number' ? `${name} ${value}` : '';
  };
  const target = typeof rule['toPort'] === 'number' ? `:${rule['toPort']}` : '';
  const to = typeof rule['to'] === 'string' ? rule['to'] : '';
  const conditions = [
    word('in', 'in'),
    word('out', 'out'),
    word('from', 'from'),
    typeof kind === 'string' ? '' : word('to', 'to'),
    typeof rule['protocol'] === 'string' ? rule['protocol'] : '',
    word('port', 'port'),
    word('state', 'state'),
  ].filter(Boolean);
  const head = typeof kind === 'string' ? kind : typeof action === 'string' ? action : '';
  const tail = typeof kind === 'string' && to !== '' ? [`→ ${to}${target}`] : [];
  return [head, ...conditions, ...tail].join(' ');
}
