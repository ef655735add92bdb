import { type LabCheck, ratePattern, type RecordsCheck } from '../../../agent/api/index.ts';
import { parseHostAddress } from '../../../agent/lab/address.ts';
import { parseNumber } from '../../cpu/number-fields.ts';

/** A check as it is typed. Bounds are milliseconds of the round trip, or rates. */
export interface CheckDraft {
  readonly kind: LabCheck['check'];
  /** Of records, the node with the collector. */
  readonly from: string;
  readonly to: string;
  readonly expect: 'reachable' | 'unreachable';
  readonly port: string;
  readonly atLeast: string;
  readonly atMost: string;
  /** Of records; for an address, nothing is any. */
  readonly protocol: RecordsCheck['protocol'];
  readonly source: string;
  readonly destination: string;
  readonly cpu: CpuDraft;
}

/** Of a CPU group. Numbers as they are typed; nothing is what a document has that does not say. */
export interface CpuDraft {
  readonly group: string;
  readonly cores: string;
  /** Per cent. */
  readonly tolerance: string;
  readonly seconds: string;
  /** Groups that are kept busy beside it, with commas between them. */
  readonly against: string;
}

const noCpu: CpuDraft = { group: '', cores: '', tolerance: '', seconds: '', against: '' };

/** What numbers of a CPU check may be (CpuCheckSchema). */
export const cpuBounds = {
  cores: { least: 0.00001, most: 100_000 },
  tolerance: { least: 1, most: 100 },
  seconds: { least: 0.5, most: 60 },
} as const;

export function draftOf(check: LabCheck): CheckDraft {
  if (check.check === 'cpu') {
    return {
      kind: 'cpu',
      ...{ from: '', to: '', port: '', atLeast: '', atMost: '', source: '', destination: '' },
      expect: 'reachable',
      protocol: 'netflow',
      cpu: {
        group: check.group,
        cores: String(check.cores),
        tolerance: check.tolerance?.toString() ?? '',
        seconds: check.seconds?.toString() ?? '',
        against: check.against?.join(', ') ?? '',
      },
    };
  }
  if (check.check === 'records') {
    return {
      kind: 'records',
      from: check.at,
      to: '',
      expect: check.expect === 'absent' ? 'unreachable' : 'reachable',
      ...{ port: '', atLeast: '', atMost: '' },
      protocol: check.protocol,
      source: check.source ?? '',
      destination: check.destination ?? '',
      cpu: noCpu,
    };
  }
  const bounds =
    check.check === 'reach' ? check.roundTrip : check.check === 'rate' ? check : undefined;
  return {
    kind: check.check,
    from: check.from,
    to: check.to,
    expect: check.check === 'rate' ? 'reachable' : (check.expect ?? 'reachable'),
    port: check.check === 'connect' ? String(check.port) : '',
    atLeast: bounds?.atLeast?.toString() ?? '',
    atMost: bounds?.atMost?.toString() ?? '',
    protocol: 'netflow',
    source: '',
    destination: '',
    cpu: noCpu,
  };
}

export type DraftObjection =
  'port' | 'milliseconds' | 'rate' | 'source' | 'destination' | keyof typeof cpuBounds;

/** The check that a draft stands for; what the form does not ask for is kept from `before`. */
export function checkOf(
  draft: CheckDraft,
  before: LabCheck | undefined,
):
  | { readonly ok: true; readonly check: LabCheck }
  | { readonly ok: false; readonly objection: DraftObjection } {
  const name = before?.name === undefined ? {} : { name: before.name };
  const timeout =
    before !== undefined &&
    before.check !== 'rate' &&
    before.check !== 'cpu' &&
    // Records are waited for much longer than an answer.
    (before.check === 'records') === (draft.kind === 'records') &&
    before.timeout !== undefined
      ? { timeout: before.timeout }
      : {};
  const { from } = draft;
  const to = draft.to.trim();
  const expect = draft.expect === 'unreachable' ? { expect: draft.expect } : {};
  const [least, most] = [draft.atLeast.trim(), draft.atMost.trim()];
  switch (draft.kind) {
    case 'cpu': {
      const numbers: { cores?: number; tolerance?: number; seconds?: number } = {};
      for (const field of ['cores', 'tolerance', 'seconds'] as const) {
        const text = draft.cpu[field].trim();
        if (text === '' && field !== 'cores') continue;
        const { least, most } = cpuBounds[field];
        const value = parseNumber(text, least, most, false);
        if (value === null) return { ok: false, objection: field };
        numbers[field] = value;
      }
      const { cores = 0, ...others } = numbers;
      const against = draft.cpu.against.split(/[\s,，]+/).filter((group) => group !== '');
      return {
        ok: true,
        check: {
          check: 'cpu',
          ...name,
          group: draft.cpu.group.trim(),
          cores,
          ...others,
          ...(against.length === 0 ? {} : { against }),
        },
      };
    }
    case 'records': {
      const [source, destination] = [draft.source.trim(), draft.destination.trim()];
      for (const [field, text] of [
        ['source', source],
        ['destination', destination],
      ] as const) {
        if (text !== '' && parseHostAddress(text) === null) return { ok: false, objection: field };
      }
      return {
        ok: true,
        check: {
          check: 'records',
          ...name,
          at: from,
          protocol: draft.protocol,
          ...(draft.expect === 'unreachable' ? { expect: 'absent' as const } : {}),
          ...(source === '' ? {} : { source }),
          ...(destination === '' ? {} : { destination }),
          ...timeout,
        },
      };
    }
    case 'connect': {
      const port = Number(draft.port);
      if (!/^\d{1,5}$/.test(draft.port.trim()) || port < 1 || port > 65535) {
        return { ok: false, objection: 'port' };
      }
      return {
        ok: true,
        check: { check: 'connect', ...name, from, to, port, ...expect, ...timeout },
      };
    }
    case 'rate':
      if (![least, most].every((text) => text === '' || ratePattern.test(text))) {
        return { ok: false, objection: 'rate' };
      }
      return {
        ok: true,
        check: {
          check: 'rate',
          ...name,
          from,
          to,
          ...(least === '' ? {} : { atLeast: least }),
          ...(most === '' ? {} : { atMost: most }),
        },
      };
    case 'reach': {
      // What does not answer has no round trip.
      const bounded = draft.expect === 'reachable' && (least !== '' || most !== '');
      if (![least, most].every((text) => text === '' || /^\d{1,6}(?:\.\d{1,3})?$/.test(text))) {
        return { ok: false, objection: 'milliseconds' };
      }
      return {
        ok: true,
        check: {
          check: 'reach',
          ...name,
          from,
          to,
          ...expect,
          ...timeout,
          ...(bounded
            ? {
                roundTrip: {
                  ...(least === '' ? {} : { atLeast: Number(least) }),
                  ...(most === '' ? {} : { atMost: Number(most) }),
                },
              }
            : {}),
        },
      };
    }
  }
}
