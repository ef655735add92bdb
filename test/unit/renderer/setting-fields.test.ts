import { describe, expect, it } from 'vitest';
import { deviceOf } from '../../../agent/lab/device.ts';
import { checkOf, draftOf } from '../../../renderer/topology/drawer/check-draft.ts';
import {
  bridgeFields,
  deviceFields,
  impairmentFields,
  joinWords,
  parseSetting,
  portFields,
  ruleText,
  type SettingField,
  settingText,
  splitWords,
} from '../../../renderer/topology/inspector/setting-fields.ts';
import { impairmentText, parseVlans, vlanText } from '../../../renderer/topology/live.ts';

function field(fields: readonly SettingField[], key: string): SettingField {
  const found = fields.find((each) => each.key === key);
  if (found === undefined) throw new Error(`no field ${key}`);
  return found;
}

describe('a field of a form', () => {
  it('takes numbers within their bounds and nothing else', () => {
    const id = field(deviceFields.vlan, 'id');
    expect(parseSetting(id, '4094')).toEqual({ ok: true, value: 4094 });
    for (const text of ['4095', '0', '1.5', 'ten']) {
      expect(parseSetting(id, text)).toMatchObject({
        ok: false,
        objection: { key: 'wholeNumber' },
      });
    }
    expect(parseSetting(id, '')).toMatchObject({ ok: false, objection: { key: 'required' } });
    expect(parseSetting(field(impairmentFields, 'loss'), '0.5')).toEqual({ ok: true, value: 0.5 });
    expect(parseSetting(field(impairmentFields, 'loss'), '')).toEqual({
      ok: true,
      value: undefined,
    });
  });

  it('takes rates, VLANs and priorities as documents have them', () => {
    expect(parseSetting(field(impairmentFields, 'rate'), '10mbit')).toEqual({
      ok: true,
      value: '10mbit',
    });
    expect(parseSetting(field(impairmentFields, 'rate'), '10 Mbit/s').ok).toBe(false);
    const trunk = field(portFields(true, false), 'trunk');
    expect(parseSetting(trunk, '20, 10 30-32')).toEqual({ ok: true, value: [10, 20, 30, 31, 32] });
    expect(settingText(trunk, [10, 20, 30, 31, 32])).toBe('10,20,30-32');
    expect(parseSetting(field(bridgeFields, 'priority'), '4096')).toEqual({
      ok: true,
      value: 4096,
    });
  });
});

describe('what a form leaves out', () => {
  it('is what the agent takes for granted', () => {
    const initial = {
      bond: ['mode', 'hashPolicy'],
      vlan: ['protocol'],
      macvlan: ['mode'],
    } as const;
    const said = Object.entries(initial).map(([kind, keys]) =>
      keys.map((key) => {
        const { input } = field(deviceFields[kind as keyof typeof initial], key);
        return input.type === 'choice' ? input.initial : undefined;
      }),
    );
    // By deviceOf: a bond is active-backup, although the kernel's own start is balance-rr.
    expect(said).toEqual([['active-backup', 'layer2'], ['802.1Q'], ['bridge']]);
    expect(deviceOf({ kind: 'bond' })).toMatchObject({ mode: said[0]?.[0] });
  });
});

describe('VLANs as a text', () => {
  it('shorten runs of three and more', () => {
    expect(vlanText([3, 1, 2, 5, 6, 9])).toBe('1-3,5,6,9');
    expect(parseVlans('1-3,5')).toEqual([1, 2, 3, 5]);
    for (const text of ['0', '4095', '5-3', 'a']) expect(parseVlans(text)).toBe(null);
  });
});

describe('a command line', () => {
  it('is taken apart as a shell would, without one', () => {
    expect(splitWords(`sh -c 'echo "a b"' x\\ y "q\\"r"`)).toEqual([
      'sh',
      '-c',
      'echo "a b"',
      'x y',
      'q"r',
    ]);
    expect(splitWords("sh 'open")).toBe(null);
  });

  it('is put together so that it reads back', () => {
    for (const words of [['a'], ['a b', "it's", ''], ['$HOME', '*', '\\']]) {
      expect(splitWords(joinWords(words))).toEqual(words);
    }
  });
});

describe('a rule in a line', () => {
  it('says what it does', () => {
    expect(
      ruleText({
        kind: 'dnat',
        in: 'eth0',
        protocol: 'tcp',
        port: 80,
        to: '10.1.0.2',
        toPort: 8080,
      }),
    ).toBe('dnat in eth0 tcp port 80 → 10.1.0.2:8080');
    expect(
      ruleText({ action: 'accept', to: '10.0.0.0/8', state: ['established', 'related'] }),
    ).toBe('accept to 10.0.0.0/8 state established,related');
  });
});

describe('an impairment in a line', () => {
  it('names what is not plain and uses SI prefixes', () => {
    const words = { loss: 'loss', duplicate: 'duplicated', reorder: 'reordered', corrupt: 'bad' };
    const nothing = { jitter: 0, duplicate: 0, reorder: 0, corrupt: 0 };
    expect(impairmentText({ ...nothing, delay: 20, loss: 1, rate: 10_000_000 }, words)).toBe(
      '20 ms · 1 % loss · 10 Mbit/s',
    );
    expect(impairmentText({ ...nothing, delay: 5, jitter: 2, loss: 0, rate: null }, words)).toBe(
      '5 ± 2 ms',
    );
  });
});

describe('the form of a check', () => {
  it('makes each kind and keeps what it does not ask for', () => {
    const reach = {
      check: 'reach',
      name: 'slow',
      from: 'a',
      to: 'b',
      timeout: 5,
      roundTrip: { atLeast: 20 },
    } as const;
    expect(checkOf(draftOf(reach), reach)).toEqual({ ok: true, check: reach });
    const connect = {
      check: 'connect',
      from: 'a',
      to: 'b',
      port: 80,
      expect: 'unreachable',
    } as const;
    expect(checkOf(draftOf(connect), connect)).toEqual({ ok: true, check: connect });
    const rate = { check: 'rate', from: 'a', to: 'b', atMost: '11mbit' } as const;
    expect(checkOf(draftOf(rate), undefined)).toEqual({ ok: true, check: rate });
  });

  it('asks a collector for records, of any flow or of one', () => {
    const records = {
      check: 'records',
      at: 'c',
      protocol: 'ipfix',
      expect: 'absent',
      source: '10.0.0.1',
      timeout: 60,
    } as const;
    expect(checkOf(draftOf(records), records)).toEqual({ ok: true, check: records });
    const reach = { check: 'reach', from: 'a', to: 'b', timeout: 5 } as const;
    // How long is waited for an answer says nothing of records.
    const cpu = {
      check: 'cpu' as const,
      group: 'A/A1',
      cores: 2.5,
      tolerance: 15,
      seconds: 5,
      against: ['B', 'C/C1'],
    };
    expect(checkOf(draftOf(cpu), cpu)).toEqual({ ok: true, check: cpu });
    const typed = draftOf({ check: 'cpu', group: '/', cores: 1 });
    expect(checkOf(typed, undefined)).toEqual({
      ok: true,
      check: { check: 'cpu', group: '/', cores: 1 },
    });
    const bad = (change: Partial<typeof typed.cpu>): unknown =>
      checkOf({ ...typed, cpu: { ...typed.cpu, ...change } }, undefined);
    expect(bad({ cores: '0' })).toEqual({ ok: false, objection: 'cores' });
    expect(bad({ cores: '' })).toEqual({ ok: false, objection: 'cores' });
    expect(bad({ tolerance: '101' })).toEqual({ ok: false, objection: 'tolerance' });
    expect(bad({ seconds: 'long' })).toEqual({ ok: false, objection: 'seconds' });
    expect(checkOf({ ...draftOf(reach), kind: 'records' }, reach)).toEqual({
      ok: true,
      check: { check: 'records', at: 'a', protocol: 'netflow' },
    });
    expect(checkOf({ ...draftOf(records), destination: '10.0.0' }, undefined)).toEqual({
      ok: false,
      objection: 'destination',
    });
  });

  it('refuses a port, a time and a rate that are none', () => {
    const draft = draftOf({ check: 'connect', from: 'a', to: 'b', port: 80 });
    expect(checkOf({ ...draft, port: '70000' }, undefined)).toEqual({
      ok: false,
      objection: 'port',
    });
    expect(checkOf({ ...draft, kind: 'rate', atLeast: '10' }, undefined)).toEqual({
      ok: false,
      objection: 'rate',
    });
    expect(checkOf({ ...draft, kind: 'reach', atMost: '1s' }, undefined)).toEqual({
      ok: false,
      objection: 'milliseconds',
    });
  });
});
