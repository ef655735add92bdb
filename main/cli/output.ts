/** What the command line says: results on stdout, everything else on stderr. */
import type { CheckResult, Failure, FailureKind, Plan, PlanStep } from '../../agent/api/index.ts';

/** 0 done and checks hold · 1 a check failed or the plan was refused · 2 document or usage wrong · 3 no agent. */
export type ExitCode = 0 | 1 | 2 | 3;

const exitCodes: Partial<Readonly<Record<FailureKind, ExitCode>>> = {
  'invalid-request': 2,
  'invalid-document': 2,
  'unknown-object': 2,
  'too-large': 2,
  unreachable: 3,
  'realm-gone': 3,
  'not-allowed': 3,
};

export function exitCodeOf(failure: Failure): ExitCode {
  return exitCodes[failure.kind] ?? 1;
}

export function printResult(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function printProgress(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Foreign names may hold anything; on a terminal they must not act. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '\uFFFD');
}

function placeOf(failure: Failure): string | null {
  const { place } = failure;
  if (place === undefined) return null;
  const parts = [place.file, place.line, place.column].filter((part) => part !== undefined);
  if (place.file === undefined) return place.path ?? null;
  return parts.join(':');
}

/** `error: OBJECT: REASON NEXT`, with the place of the file first where there is one; its causes below it. */
export function describeFailure(failure: Failure): string {
  const lines: string[] = [];
  const visit = (one: Failure, indent: string): void => {
    // A document's places are those of its problems.
    const place = one.causes === undefined ? placeOf(one) : null;
    const where = place === null ? '' : `${place}: `;
    lines.push(printable(`${indent}error: ${where}${one.object}: ${one.reason} ${one.next}`));
    for (const cause of one.causes ?? []) visit(cause, `${indent}  `);
  };
  visit(failure, '');
  return lines.join('\n');
}

/** Prints why it failed, and gives the exit code for it. With `json` the failure itself goes to stdout. */
export function printFailure(failure: Failure, json = false): ExitCode {
  if (json) printJson({ failure });
  process.stderr.write(`${describeFailure(failure)}\n`);
  return exitCodeOf(failure);
}

const signs: Readonly<Record<PlanStep['verb'], string>> = { add: '+', remove: '-', change: '~' };

export function describePlan(plan: Plan): string {
  const lines = plan.steps.map((step) => {
    const changes = step.changes.map(
      ({ field, before, after }) => `${field} ${before ?? 'none'} → ${after ?? 'none'}`,
    );
    const detail = changes.length > 0 ? ` (${changes.join(', ')})` : '';
    return printable(`  ${signs[step.verb]} ${step.object} ${step.label}${detail}`);
  });
  const count = plan.steps.length;
  const summary =
    count === 0
      ? 'Nothing to change'
      : `${String(count)} ${count === 1 ? 'operation' : 'operations'}`;
  const warnings = plan.warnings.map((one) => printable(`warning: ${one.object}: ${one.sentence}`));
  const { confirm } = plan;
  const deadline =
    confirm === null
      ? []
      : [
          printable(`to be confirmed: ${confirm.reason.sentence}`),
          `Not confirmed within ${String(confirm.within)} s, it is taken back.`,
        ];
  return [`${plan.lab} in ${plan.realm}: ${summary}.`, ...lines, ...warnings, ...deadline].join(
    '\n',
  );
}

export function describeCheck(result: CheckResult): string {
  const signOf = { passed: '✓', failed: '✗', skipped: '–' } as const;
  return printable(`  ${signOf[result.outcome]} ${result.label}: ${result.sentence}`);
}

/** Columns as wide as their widest cell, two blanks apart. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows.map((row) => row.map(printable))];
  const widths = head.map((_title, column) =>
    Math.max(...all.map((row) => (row[column] ?? '').length)),
  );
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
