/** Carries a lab's checks out: real packets from the nodes' own namespaces. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CpuCheck, LabCheck, LabDocument, RateCheck } from '../api/document.ts';
import type { ExportRecord, ExportRecords } from '../api/flow-export.ts';
import type { CheckResult } from '../api/lab.ts';
import { assertNever, type Result } from '../api/result.ts';
import type { Cgroups } from '../kernel/cgroups.ts';
import { type EchoOutcome, probeEcho } from '../kernel/echo.ts';
import { greatestOffer, probeRate } from '../kernel/rate-probe.ts';
import { type ConnectOutcome, probeConnect } from '../kernel/tcp-probe.ts';
import {
  type Bounds,
  boundsText,
  collectedProtocols,
  matchText,
  millisecondBounds,
  resolveCheck,
  type ResolvedCheck,
  type ResolvedConnectCheck,
  type ResolvedRateCheck,
  type ResolvedReachCheck,
  type ResolvedRecordsCheck,
} from '../lab/check.ts';
import { rateText } from '../lab/check-sentences.ts';
import { failureOf, type SentenceValues } from '../lab/sentences.ts';
import { type Finding, finding, notDone } from './check-finding.ts';
import { checkCpu } from './cpu-check.ts';

/** Checks under way at once: each holds a socket and sends a packet every 200 ms. */
const concurrentChecks = 32;

/** Pause after a refusal, until the next try within a check's time. */
const retryMilliseconds = 250;

/**
 * How long a network may take to settle once it is up: the kernel announces a carrier within a second
 * (linkwatch_schedule_work) and drops what is sent until then; IPv6 looks for duplicates for up to two (RFC 4862, 5.4).
 */
const settleMilliseconds = 3000;
const settlePollMilliseconds = 50;

/** Echoes whose median is the round trip, where it has bounds. */
const measuredEchoes = 5;

/** What is sent where a rate has no bounds, in bit/s. */
const unboundedOffer = 1e9;

export interface CheckRun {
  readonly document: LabDocument;
  /** Descriptor of a namespace by its name. */
  readonly namespaceFd: (namespace: string) => Result<number>;
  /** Whether the lab's links carry what they are given, and with `ipv6` its addresses of that family are in use. */
  readonly isSettled: (wants: { readonly ipv6: boolean }) => boolean;
  /** What the collector of a node has received. */
  readonly collected: (node: string) => Result<ExportRecords>;
  /** The lab's CPU groups; null where there can be none. */
  readonly groups: Cgroups | null;
  readonly signal: AbortSignal;
  readonly onResult: (result: CheckResult) => void;
}

/** Results in the document's order; those that a cancellation prevented are missing. */
export async function runChecks(run: CheckRun): Promise<readonly CheckResult[]> {
  const checks = [...(run.document.checks ?? []).entries()];
  const isNegative = (check: LabCheck): boolean =>
    check.check === 'records'
      ? check.expect === 'absent'
      : !isHeavy(check) && check.expect === 'unreachable';
  const positive = checks.filter(([, check]) => !isHeavy(check) && !isNegative(check));
  // That nothing answers says something only once the network is settled: what has to answer has waited for that.
  const negative = checks.filter(([, check]) => isNegative(check));
  // A measurement of rate fills links and this thread, one of CPU groups the machine: they wait until they are alone.
  const heavy = checks.filter(([, check]) => isHeavy(check));
  const results: CheckResult[] = [];
  const workOff = async (queue: [number, LabCheck][]): Promise<void> => {
    for (;;) {
      const next = run.signal.aborted ? undefined : queue.shift();
      if (next === undefined) return;
      const result = await carryOut(...next, run);
      // A cancellation meanwhile has cut it short.
      if (run.signal.aborted) return;
      results.push(result);
      run.onResult(result);
    }
  };
  const workOffTogether = async (queue: [number, LabCheck][]): Promise<void> => {
    const workers = Math.min(concurrentChecks, queue.length);
    await Promise.all(Array.from({ length: workers }, () => workOff(queue)));
  };
  await workOffTogether(positive);
  if (negative.length > 0) await settle(negative, run);
  await workOffTogether(negative);
  await workOff(heavy);
  return results.sort((a, b) => a.index - b.index);
}

function isHeavy(check: LabCheck): check is RateCheck | CpuCheck {
  return check.check === 'rate' || check.check === 'cpu';
}

async function settle(checks: readonly [number, LabCheck][], run: CheckRun): Promise<void> {
  const ipv6 = checks.some(([, check]) => {
    const resolved = resolveCheck(run.document, check);
    return resolved.ok && 'family' in resolved.value && resolved.value.family === 'ipv6';
  });
  const deadline = performance.now() + settleMilliseconds;
  while (!run.isSettled({ ipv6 }) && !run.signal.aborted && performance.now() < deadline) {
    await delay(settlePollMilliseconds);
  }
}

async function carryOut(index: number, check: LabCheck, run: CheckRun): Promise<CheckResult> {
  const resolved = resolveCheck(run.document, check);
  if (!resolved.ok) {
    return { index, label: roughLabel(check), ...notDone(resolved.failure) };
  }
  return { index, label: resolved.value.label, ...(await find(resolved.value, run)) };
}

/** Of what does not resolve. */
function roughLabel(check: LabCheck): string {
  if (check.check === 'records') return check.at;
  return check.check === 'cpu' ? check.group : `${check.from} → ${check.to}`;
}

function find(check: ResolvedCheck, run: CheckRun): Promise<Finding> {
  switch (check.kind) {
    case 'reach':
      return reach(check, run);
    case 'connect':
      return connect(check, run);
    case 'rate':
      return measureRate(check, run);
    case 'records':
      return findRecords(check, run);
    case 'cpu':
      return checkCpu(check, run.groups, run.signal);
    default:
      return assertNever(check);
  }
}

/**
 * Tries again within the check's time, unless `isSettled`. A refusal settles that something is unreachable. What is to be
 * reachable may yet become so: a port of a bridge with STP forwards only after twice the forward delay (IEEE 802.1D,
 * 30 s unless set), an address may be tentative, a server may still start.
 */
async function retry<T>(
  check: ResolvedReachCheck | ResolvedConnectCheck,
  run: CheckRun,
  probe: (timeoutMilliseconds: number) => Promise<Result<T>>,
  isSettled: (outcome: T) => boolean,
): Promise<Result<T>> {
  const deadline = performance.now() + check.timeoutMilliseconds;
  for (;;) {
    const outcome = await probe(Math.max(1, deadline - performance.now()));
    if (!outcome.ok || check.expect === 'unreachable' || isSettled(outcome.value)) return outcome;
    if (run.signal.aborted || performance.now() + retryMilliseconds > deadline) return outcome;
    await delay(retryMilliseconds);
  }
}

async function reach(check: ResolvedReachCheck, run: CheckRun): Promise<Finding> {
  const namespace = run.namespaceFd(check.fromNamespace);
  if (!namespace.ok) return notDone(namespace.failure);
  const probe = (timeoutMilliseconds: number): Promise<Result<EchoOutcome>> =>
    probeEcho({
      namespaceFd: namespace.value,
      destination: check.destination,
      timeoutMilliseconds,
      signal: run.signal,
    });
  const echoed = await retry(check, run, probe, ({ kind }) => kind === 'reply');
  if (!echoed.ok) return notDone(echoed.failure);
  const { roundTrip } = check;
  if (roundTrip === null || check.expect === 'unreachable' || echoed.value.kind !== 'reply') {
    return judgeEcho(check, echoed.value);
  }
  // The first has also paid for address resolution.
  const roundTrips: number[] = [];
  while (roundTrips.length < measuredEchoes) {
    const echo = await probe(check.timeoutMilliseconds);
    if (!echo.ok) return notDone(echo.failure);
    if (echo.value.kind !== 'reply') return judgeEcho(check, echo.value);
    roundTrips.push(echo.value.roundTripMilliseconds);
  }
  return judgeRoundTrip(check, roundTrip, roundTrips);
}

function judgeRoundTrip(
  check: ResolvedReachCheck,
  bounds: Bounds,
  roundTrips: readonly number[],
): Finding {
  const sorted = [...roundTrips].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? 0;
  const values = {
    from: check.fromNamespace,
    to: check.destination,
    roundTrip: median.toFixed(2),
  };
  const text = millisecondBounds(bounds);
  if (text === '') return finding('passed', 'reached', values, median);
  const within = isWithin(median, bounds);
  return finding(
    within ? 'passed' : 'failed',
    within ? 'round-trip-within' : 'round-trip-outside',
    { ...values, count: roundTrips.length, bounds: text },
    median,
  );
}

function isWithin(value: number, { atLeast, atMost }: Bounds): boolean {
  return (atLeast === null || value >= atLeast) && (atMost === null || value <= atMost);
}

function judgeEcho(check: ResolvedReachCheck, echo: EchoOutcome): Finding {
  const from = check.fromNamespace;
  const to = check.destination;
  if (echo.kind === 'reply') {
    const { roundTripMilliseconds } = echo;
    const values = { from, to, roundTrip: roundTripMilliseconds.toFixed(2) };
    return check.expect === 'reachable'
      ? finding('passed', 'reached', values, roundTripMilliseconds)
      : finding('failed', 'reached-unexpectedly', values, roundTripMilliseconds);
  }
  // Without a reporter it is the asking namespace's own routes and rules that say so.
  const values: SentenceValues =
    echo.reason === 'no-answer'
      ? { from, to }
      : echo.reason === 'send-failed'
        ? { from, to, errno: echo.detail ?? '' }
        : { from, to, reporter: echo.reporter ?? from };
  return check.expect === 'unreachable'
    ? finding('passed', echo.reason, values)
    : finding('failed', `${echo.reason}-unexpectedly`, values);
}

async function connect(check: ResolvedConnectCheck, run: CheckRun): Promise<Finding> {
  const namespace = run.namespaceFd(check.fromNamespace);
  if (!namespace.ok) return notDone(namespace.failure);
  const outcome = await retry(
    check,
    run,
    (timeoutMilliseconds) =>
      probeConnect({
        namespaceFd: namespace.value,
        destination: check.destination,
        port: check.port,
        timeoutMilliseconds,
        signal: run.signal,
      }),
    ({ kind }) => kind === 'connected',
  );
  return outcome.ok ? judgeConnect(check, outcome.value) : notDone(outcome.failure);
}

function judgeConnect(check: ResolvedConnectCheck, outcome: ConnectOutcome): Finding {
  const values = { from: check.fromNamespace, to: check.destination, port: check.port };
  const absent = (
    code: 'refused' | 'connect-timeout' | 'connect-unreachable',
    more: SentenceValues = {},
  ): Finding =>
    check.expect === 'unreachable'
      ? finding('passed', code, { ...values, ...more })
      : finding('failed', `${code}-unexpectedly`, { ...values, ...more });
  switch (outcome.kind) {
    case 'connected': {
      const { milliseconds } = outcome;
      const timed = { ...values, milliseconds: milliseconds.toFixed(2) };
      return check.expect === 'reachable'
        ? finding('passed', 'connected', timed, milliseconds)
        : finding('failed', 'connected-unexpectedly', timed, milliseconds);
    }
    case 'refused':
      return absent('refused');
    case 'timeout':
      return absent('connect-timeout');
    case 'unreachable':
      return absent('connect-unreachable', { errno: outcome.errno });
    default:
      return assertNever(outcome);
  }
}

/** NetFlow's versions are one protocol to whoever asks for its records. */
function isOf(record: ExportRecord, check: ResolvedRecordsCheck): boolean {
  if (!record.protocol.startsWith(check.protocol) || record.kind === 'options') return false;
  const { source, destination } = check;
  if (source === null && destination === null) return true;
  if (record.kind !== 'flow') return false;
  return (
    (source === null || record.source === source) &&
    (destination === null || record.destination === destination)
  );
}

/** Looks until there are some, or for the whole time: that there are none says something only after it. */
async function findRecords(check: ResolvedRecordsCheck, run: CheckRun): Promise<Finding> {
  const { at, expect, timeoutMilliseconds } = check;
  const values = {
    at,
    protocol: collectedProtocols[check.protocol],
    match: matchText(check),
  };
  const deadline = performance.now() + timeoutMilliseconds;
  for (;;) {
    const collected = run.collected(at);
    if (!collected.ok) return notDone(collected.failure);
    const found = collected.value.records.filter((record) => isOf(record, check));
    const [latest] = found;
    if (latest !== undefined) {
      const seen = { ...values, count: found.length, exporter: latest.exporter };
      return expect === 'present'
        ? finding('passed', 'records-found', seen)
        : finding('failed', 'records-found-unexpectedly', seen);
    }
    if (!collected.value.running) {
      return notDone(failureOf('refused', 'collector-not-running', at, { node: at }));
    }
    const left = deadline - performance.now();
    if (run.signal.aborted || left <= 0) break;
    await delay(Math.min(left, retryMilliseconds));
  }
  return expect === 'absent'
    ? finding('passed', 'no-records', values)
    : finding('failed', 'no-records-unexpectedly', {
        ...values,
        seconds: timeoutMilliseconds / 1000,
      });
}

/** A busy machine sends too little at times, which is no verdict: measured again, a few times. */
const rateMeasurements = 4;

async function measureRate(check: ResolvedRateCheck, run: CheckRun): Promise<Finding> {
  let found = await measureRateOnce(check, run);
  for (let done = 1; done < rateMeasurements && found.code === 'rate-not-offered'; done += 1) {
    if (run.signal.aborted) break;
    found = await measureRateOnce(check, run);
  }
  return found;
}

async function measureRateOnce(check: ResolvedRateCheck, run: CheckRun): Promise<Finding> {
  const source = run.namespaceFd(check.fromNamespace);
  if (!source.ok) return notDone(source.failure);
  const destination = run.namespaceFd(check.toNamespace);
  if (!destination.ok) return notDone(destination.failure);
  const measured = await probeRate({
    fromNamespaceFd: source.value,
    toNamespaceFd: destination.value,
    destination: check.destination,
    offer: offerOf(check),
    signal: run.signal,
  });
  if (!measured.ok) return notDone(measured.failure);
  const values = { from: check.fromNamespace, to: check.destination };
  const outcome = measured.value;
  switch (outcome.kind) {
    case 'nothing-arrived':
      return finding('failed', 'rate-nothing-arrived', values);
    case 'unreachable':
      return finding('failed', 'rate-unreachable', { ...values, errno: outcome.errno });
    case 'measured':
      return judgeRate(check, outcome);
    default:
      return assertNever(outcome);
  }
}

/** More than the bounds, so that the path is the limit. */
function offerOf({ atLeast, atMost }: Bounds): number {
  if (atMost !== null) return Math.min(greatestOffer, atMost * 1.5);
  return Math.min(greatestOffer, atLeast === null ? unboundedOffer : atLeast * 3);
}

/** A verdict on what arrived, in bit/s; `skipped` where too little was sent to reach one. */
export function judgeRate(
  check: ResolvedRateCheck,
  seen: {
    readonly bitsPerSecond: number;
    readonly sentBitsPerSecond: number;
    readonly heldBack: boolean;
  },
): Finding {
  const bounds = boundsText({
    atLeast: check.atLeast === null ? null : rateText(check.atLeast),
    atMost: check.atMost === null ? null : rateText(check.atMost),
  });
  const values = {
    from: check.fromNamespace,
    to: check.destination,
    rate: rateText(seen.bitsPerSecond),
  };
  if (bounds === '') return finding('passed', 'rate-measured', values);
  const { bitsPerSecond, sentBitsPerSecond } = seen;
  const { atLeast, atMost } = check;
  // Too little of what was not sent says nothing about the path; nor does it that no more came than may.
  const short = (bound: number | null): boolean =>
    bound !== null && bitsPerSecond <= bound && sentBitsPerSecond <= bound && !seen.heldBack;
  const tooMuch = atMost !== null && bitsPerSecond > atMost;
  const tooLittle = atLeast !== null && bitsPerSecond < atLeast && !short(atLeast);
  if (!tooMuch && !tooLittle && (short(atMost) || !isWithin(bitsPerSecond, check))) {
    const sent = rateText(sentBitsPerSecond);
    return finding('skipped', 'rate-not-offered', { ...values, sent, bounds });
  }
  return isWithin(bitsPerSecond, check)
    ? finding('passed', 'rate-within', { ...values, bounds })
    : finding('failed', 'rate-outside', { ...values, bounds });
}
