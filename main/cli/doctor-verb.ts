import { examineMachine } from '../workbench/doctor.ts';
import type { Context } from './context.ts';
import { type ExitCode, printable, printJson, printResult } from './output.ts';

/** 0 when labs can run here, 1 when they cannot; whatever else is missing is said and is no failure. */
export async function doctor(
  context: Context,
  options: { readonly json?: boolean },
): Promise<ExitCode> {
  const capabilities = await examineMachine(context);
  if (options.json === true) {
    printJson({ capabilities });
  } else {
    for (const { name, available, reason, remedy } of capabilities) {
      const detail = [reason, remedy === null ? null : `Try: ${remedy}`].filter(Boolean).join(' ');
      printResult(
        printable(`${available ? '✓' : '✗'} ${name}${detail === '' ? '' : `: ${detail}`}`),
      );
    }
  }
  const sandbox = capabilities.find(({ name }) => name === 'sandbox');
  return sandbox?.available === true ? 0 : 1;
}
