/** Carries a lab's checks out: real packets from the nodes' own namespaces. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LabDocument } from '../api/document.ts';
import type { CheckResult } from '../api/lab.ts';
import { type Failure, type Result } from '../api/result.ts';
import { type EchoOutcome, probeEcho } from '../kernel/echo.ts';
import { type ResolvedReachCheck, resolveCheck } from '../lab/check.ts';

/** Checks under way at once: each holds a socket and sends a packet every 200 ms. */
const concurrentChecks = 32;

/** Pause after a refusal, until the next try within a check's time. */
const retryMilliseconds = 250;

export interface CheckRun {
  readonly document: LabDocument;
  /** Descriptor of a namespace by its name. */
  readonly namespaceFd: (namespace: string) => Result<number>;
  readonly signal: AbortSignal;
  readonly onResult: (result: CheckResult) => void;
}

/** Results in the document's order; those that a cancellation prevented are missing. */
export async function runChecks(run: CheckRun): Promise<readonly CheckResult[]> {
  const checks = run.document.checks ?? [];
  const results: CheckResult[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      const index = next;
      const check = checks[index];
      if (check === undefined || run.signal.aborted) return;
      next += 1;
      const resolved = resolveCheck(run.document, check);
      const result = resolved.ok
        ? await reach(index, resolved.value, run)
        : outcomeOf(index, `${check.from} → ${check.to}`, 'failed', resolved.failure.reason);
      if (run.signal.aborted) return;
      results.push(result);
      run.onResult(result);
    }
  };
  const workers = Math.min(concurrentChecks, checks.length);
  await Promise.all(Array.from({ length: workers }, work));
  return results.sort((a, b) => a.index - b.index);
}

async function reach(
  index: number,
  check: ResolvedReachCheck,
  run: CheckRun,
): Promise<CheckResult> {
  const namespace = run.namespaceFd(check.fromNamespace);
  if (!namespace.ok) return failed(index, check, namespace.failure);
  const deadline = performance.now() + check.timeoutMilliseconds;
  for (;;) {
    const echoed = await probeEcho({
      namespaceFd: namespace.value,
      destination: check.destination,
      timeoutMilliseconds: Math.max(1, deadline - performance.now()),
      signal: run.signal,
    });
    if (!echoed.ok) return failed(index, check, echoed.failure);
    // A refusal settles that something is unreachable. What is to be reachable may yet become so: a port of a bridge
    // with STP forwards only after twice the forward delay (IEEE 802.1D, 30 s unless set), an address may be tentative.
    const settled = echoed.value.kind === 'reply' || check.expect === 'unreachable';
    if (settled || run.signal.aborted || performance.now() + retryMilliseconds > deadline) {
      return judge(index, check, echoed.value);
    }
    await delay(retryMilliseconds);
  }
}

function judge(index: number, check: ResolvedReachCheck, echo: EchoOutcome): CheckResult {
  const { fromNamespace, destination, expect } = check;
  const reachable = echo.kind === 'reply';
  const seen =
    echo.kind === 'reply'
      ? `answered ${fromNamespace} after ${echo.roundTripMilliseconds.toFixed(2)} ms`
      : unreachableWords(fromNamespace, echo);
  const passed = reachable === (expect === 'reachable');
  const wish = passed ? 'as expected' : `although it should be ${expect}`;
  return {
    ...outcomeOf(
      index,
      check.label,
      passed ? 'passed' : 'failed',
      `${destination} ${seen}, ${wish}.`,
    ),
    roundTripMilliseconds: echo.kind === 'reply' ? echo.roundTripMilliseconds : null,
  };
}

function unreachableWords(
  from: string,
  echo: Extract<EchoOutcome, { kind: 'unreachable' }>,
): string {
  const reporter = echo.reporter === undefined ? '' : `, says ${echo.reporter}`;
  const detail = echo.detail === undefined ? '' : `, ${echo.detail}`;
  return `did not answer ${from} (${echo.reason.replaceAll('-', ' ')}${reporter}${detail})`;
}

function failed(index: number, check: ResolvedReachCheck, failure: Failure): CheckResult {
  // What this machine cannot do says nothing about the lab.
  const outcome = failure.kind === 'unsupported' ? 'skipped' : 'failed';
  return outcomeOf(index, check.label, outcome, failure.reason);
}

function outcomeOf(
  index: number,
  label: string,
  outcome: CheckResult['outcome'],
  sentence: string,
): CheckResult {
  return { index, label, outcome, sentence, roundTripMilliseconds: null };
}
