import {
  type CpuCheck,
  type LabCheck,
  ratePattern,
  type RecordsCheck,
} from '../../../agent/api/index.ts';
import { parseHostAddress } from '../../../agent/lab/address.ts';

/** A check that the form has fields for; those of CPU groups are written in the document. */
export type NetworkCheck = Exclude<LabCheck, CpuCheck>;

/** A check as it is typed. Bounds are milliseconds of the round trip, or rates. */
export interface CheckDraft {
  readonly kind: NetworkCheck['check'];
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
}

export function draftOf(check: NetworkCheck): CheckDraft {
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
  };
}

export type DraftObjection = 'port' | 'milliseconds' | 'rate' | 'source' | 'destination';

/** The check that a draft stands for; what the form does not ask for is kept from `before`. */
export function checkOf(
  draft: CheckDraft,
  before: NetworkCheck | undefined,
):
  | { readonly ok: true; readonly check: LabCheck }
  | { readonly ok: false; readonly objection: DraftObjection } {
  const name = before?.name === undefined ? {} : { name: before.name };
  const timeout =
    before !== undefined &&
    before.check !== 'rate' &&
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
