import { describe, expect, it } from 'vitest';
import { OvsBridgeNodeSchema, OvsPortSettingsSchema } from '../../../agent/api/index.ts';
import {
  exportFields,
  exportKinds,
  exportTarget,
  linesOf,
  mirrorValues,
  ovsBridgeFields,
  ovsKindFields,
  ovsPortFields,
  policingFields,
  queuesOf,
  vlanFieldsOf,
  vlanModeOf,
  vlanModes,
  withMirrorValue,
  withVlanMode,
} from '../../../renderer/topology/inspector/ovs-fields.ts';
import { parseSetting } from '../../../renderer/topology/inspector/setting-fields.ts';

const set = (settings: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));

describe('the VLANs of a port', () => {
  it('are in one of five modes', () => {
    expect(vlanModeOf({})).toBe('all');
    expect(vlanModeOf({ vlan: 10 })).toBe('access');
    expect(vlanModeOf({ trunk: [10, 20] })).toBe('trunk');
    expect(vlanModeOf({ trunk: [10], native: 1 })).toBe('native-untagged');
    expect(vlanModeOf({ native: 1, nativeMode: 'tagged' })).toBe('native-tagged');
  });

  it('become of every mode from every other, and are valid then', () => {
    const before = [{}, { vlan: 10 }, { trunk: [10, 20] }, { trunk: [10], native: 1 }];
    for (const one of before) {
      for (const mode of vlanModes) {
        const next = set(withVlanMode(one, mode));
        expect([mode, OvsPortSettingsSchema.safeParse(next).success]).toEqual([mode, true]);
        expect(vlanModeOf(next)).toBe(mode);
      }
    }
  });

  it('keep the numbers that they have', () => {
    expect(set(withVlanMode({ trunk: [30, 40] }, 'access'))).toEqual({ vlan: 30 });
    expect(set(withVlanMode({ vlan: 30 }, 'trunk'))).toEqual({ trunk: [30] });
    expect(set(withVlanMode({ trunk: [10], native: 5 }, 'native-tagged'))).toEqual({
      trunk: [10],
      native: 5,
      nativeMode: 'tagged',
    });
  });

  it('are asked for by the fields of the mode alone', () => {
    expect(vlanFieldsOf('access').map((field) => field.key)).toEqual(['vlan']);
    expect(vlanFieldsOf('native-tagged').map((field) => field.key)).toEqual(['native', 'trunk']);
  });
});

describe('a mirror', () => {
  it('has one place for its copies, a port or a VLAN', () => {
    const mirror = { source: ['a'], output: 'span' };
    expect(mirrorValues(mirror)).toEqual({ source: ['a'], output: 'span' });
    expect(withMirrorValue(mirror, 'outputVlan', 99)).toEqual({
      source: ['a'],
      output: { vlan: 99 },
    });
    expect(mirrorValues({ output: { vlan: 99 } })).toEqual({ outputVlan: 99 });
    expect(withMirrorValue(mirror, 'output', undefined)).toBeNull();
    expect(withMirrorValue(mirror, 'outputVlan', undefined)).toEqual(mirror);
    expect(withMirrorValue(mirror, 'source', undefined)).toEqual({ output: 'span' });
  });
});

describe('the lines of a flow table', () => {
  it('are read as a person pastes them', () => {
    expect(linesOf(' priority=1 actions=drop \n\n# a remark\nactions=NORMAL')).toEqual([
      'priority=1 actions=drop',
      'actions=NORMAL',
    ]);
  });
});

describe('queues', () => {
  it('are in the order of their numbers', () => {
    expect(queuesOf({ queues: { 10: {}, 2: {}, 0: {} } }).map(([id]) => id)).toEqual([
      '0',
      '2',
      '10',
    ]);
  });
});

describe('the fields of Open vSwitch', () => {
  /** Keys of a schema's object, read from what it makes of an unknown key and a known one. */
  const bridgeKeys = Object.keys(OvsBridgeNodeSchema.shape);

  it('are keys that the document has', () => {
    for (const { key } of ovsBridgeFields) expect(bridgeKeys).toContain(key);
    for (const kind of exportKinds) {
      const parsed = OvsBridgeNodeSchema.safeParse({
        kind: 'ovs-bridge',
        [kind]: { targets: [exportTarget[kind]] },
      });
      expect([kind, parsed.success]).toEqual([kind, true]);
      for (const { key } of exportFields[kind]) {
        const odd = OvsBridgeNodeSchema.safeParse({
          kind: 'ovs-bridge',
          [kind]: { targets: [exportTarget[kind]], [key]: null },
        });
        const codes = odd.success ? [] : odd.error.issues.map((issue) => issue.code);
        expect([kind, key, codes.includes('unrecognized_keys')]).toEqual([kind, key, false]);
      }
    }
    for (const [kind, fields] of Object.entries(ovsKindFields)) {
      for (const { key } of [...fields, ...ovsPortFields]) {
        const odd = OvsPortSettingsSchema.safeParse({ kind, [key]: null });
        const codes = odd.success ? [] : odd.error.issues.map((issue) => issue.code);
        expect([kind, key, codes.includes('unrecognized_keys')]).toEqual([kind, key, false]);
      }
    }
  });

  it('take sizes in bits, and say so of others', () => {
    const burst = policingFields.find((field) => field.key === 'burst');
    if (burst === undefined) throw new Error('no burst');
    expect(parseSetting(burst, '800kbit')).toEqual({ ok: true, value: '800kbit' });
    expect(parseSetting(burst, '100')).toEqual({ ok: false, objection: { key: 'sizeHint' } });
  });
});
