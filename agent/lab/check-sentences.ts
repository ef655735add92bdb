/** What a check saw, as one sentence. */
import type { CheckCode, CheckResult } from '../api/lab.ts';
import { fillTemplate, type SentenceValues } from './sentences.ts';

const expected = ', as expected.';
const notReachable = ', although it should be reachable.';
const notUnreachable = ', although it should be unreachable.';

/** In English; a client translates by code, as with `sentences`. */
export const checkSentences: Readonly<Record<CheckCode, string>> = {
  // Echo
  reached: `{to} answered {from} after {roundTrip} ms${expected}`,
  'reached-unexpectedly': `{to} answered {from} after {roundTrip} ms${notUnreachable}`,
  'round-trip-within':
    '{to} answered {from} after {roundTrip} ms (median of {count}), which is {bounds}.',
  'round-trip-outside':
    '{to} answered {from} after {roundTrip} ms (median of {count}), which is not {bounds}.',
  'no-answer': `{to} did not answer {from}${expected}`,
  'no-answer-unexpectedly': `{to} did not answer {from}${notReachable}`,
  'network-unreachable': `{to} did not answer {from} (network unreachable, says {reporter})${expected}`,
  'network-unreachable-unexpectedly': `{to} did not answer {from} (network unreachable, says {reporter})${notReachable}`,
  'host-unreachable': `{to} did not answer {from} (host unreachable, says {reporter})${expected}`,
  'host-unreachable-unexpectedly': `{to} did not answer {from} (host unreachable, says {reporter})${notReachable}`,
  prohibited: `{to} did not answer {from} (prohibited by {reporter})${expected}`,
  'prohibited-unexpectedly': `{to} did not answer {from} (prohibited by {reporter})${notReachable}`,
  'port-or-protocol-unreachable': `{to} did not answer {from} (port or protocol unreachable, says {reporter})${expected}`,
  'port-or-protocol-unreachable-unexpectedly': `{to} did not answer {from} (port or protocol unreachable, says {reporter})${notReachable}`,
  'hop-limit-exceeded': `{to} did not answer {from} (hop limit exceeded at {reporter})${expected}`,
  'hop-limit-exceeded-unexpectedly': `{to} did not answer {from} (hop limit exceeded at {reporter})${notReachable}`,
  'packet-too-big': `{to} did not answer {from} (packet too big, says {reporter})${expected}`,
  'packet-too-big-unexpectedly': `{to} did not answer {from} (packet too big, says {reporter})${notReachable}`,
  'send-failed': `{from} cannot send to {to} ({errno})${expected}`,
  'send-failed-unexpectedly': `{from} cannot send to {to} ({errno})${notReachable}`,
  // TCP
  connected: `TCP port {port} of {to} accepted {from} after {milliseconds} ms${expected}`,
  'connected-unexpectedly': `TCP port {port} of {to} accepted {from} after {milliseconds} ms${notUnreachable}`,
  refused: `TCP port {port} of {to} refused {from}${expected}`,
  'refused-unexpectedly': `TCP port {port} of {to} refused {from}${notReachable}`,
  'connect-timeout': `TCP port {port} of {to} did not answer {from}${expected}`,
  'connect-timeout-unexpectedly': `TCP port {port} of {to} did not answer {from}${notReachable}`,
  'connect-unreachable': `{from} has no way to TCP port {port} of {to} ({errno})${expected}`,
  'connect-unreachable-unexpectedly': `{from} has no way to TCP port {port} of {to} ({errno})${notReachable}`,
  // UDP throughput
  'rate-measured': '{rate} arrived at {to} from {from}.',
  'rate-within': '{rate} arrived at {to} from {from}, which is {bounds}.',
  'rate-outside': '{rate} arrived at {to} from {from}, which is not {bounds}.',
  'rate-not-offered':
    '{rate} arrived at {to} from {from}, but this machine sent only {sent}: too little to tell about {bounds}.',
  'rate-nothing-arrived': 'Nothing arrived at {to} from {from}.',
  'rate-unreachable': '{from} cannot send to {to} ({errno}).',
  // Flow export
  'records-found': `{at} received {count} {protocol} records{match}, the latest from {exporter}${expected}`,
  'records-found-unexpectedly': `{at} received {count} {protocol} records{match}, the latest from {exporter}, although there should be none.`,
  'no-records': `{at} received no {protocol} record{match}${expected}`,
  'no-records-unexpectedly': `{at} received no {protocol} record{match} within {seconds} s.`,
  // CPU groups
  'cpu-within': '{group} used {used} cores in {seconds} s, which is between {least} and {most}.',
  'cpu-within-beside':
    '{group} used {used} cores in {seconds} s beside {others}, which is between {least} and {most}.',
  'cpu-outside':
    '{group} used {used} cores in {seconds} s, which is not between {least} and {most}.',
  'cpu-outside-beside':
    '{group} used {used} cores in {seconds} s beside {others}, which is not between {least} and {most}.',
  'cpu-not-to-be-had':
    '{group} used {used} cores in {seconds} s, but other processes of the machine used {foreign}: too much to tell whether it keeps between {least} and {most}.',
  // Not carried out
  'check-not-done': '{reason}',
};

/** The sentence with its code and values, as a part of a result. */
export function sayCheck(
  code: CheckCode,
  values: SentenceValues,
): Pick<CheckResult, 'code' | 'values' | 'sentence'> {
  return { code, values: { ...values }, sentence: fillTemplate(checkSentences[code], values) };
}

const steps = [
  { factor: 1e9, prefix: 'G' },
  { factor: 1e6, prefix: 'M' },
  { factor: 1e3, prefix: 'k' },
] as const;

/** A rate in bit/s with an SI prefix, to three significant digits: `9.61 Mbit/s`. */
export function rateText(bitsPerSecond: number): string {
  // 999.9 kbit/s is 1 Mbit/s to three digits.
  const rounded = Number(bitsPerSecond.toPrecision(3));
  const step = steps.find(({ factor }) => rounded >= factor);
  return step === undefined
    ? `${rounded} bit/s`
    : `${Number((rounded / step.factor).toPrecision(3))} ${step.prefix}bit/s`;
}
