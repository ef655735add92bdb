/** link: an interface of a lab taken down, brought up, or both, in the kernel alone. */
import { fail, type InterfaceStateChange, type Result, succeed } from '../../agent/api/index.ts';
import { type Context, labOf } from './context.ts';
import { type ExitCode, printFailure, printJson, printResult } from './output.ts';

export const linkVerbs = ['down', 'up', 'flap'] as const;
export type LinkVerb = (typeof linkVerbs)[number];

export interface LinkOptions {
  /** Milliseconds that a flap lasts. */
  readonly for: number;
  readonly json?: boolean;
}

/** `NODE:INTERFACE`; a bridge's own interface bears its name. */
function parsePlace(text: string): Result<Pick<InterfaceStateChange, 'node' | 'interface'>> {
  const match = /^(?<node>[^:]{1,15}):(?<name>[^:]{1,15})$/.exec(text);
  const { node, name } = match?.groups ?? {};
  if (node !== undefined && name !== undefined) return succeed({ node, interface: name });
  return fail({
    kind: 'invalid-request',
    code: 'not-an-endpoint',
    object: text,
    reason: `${text} is not of the form NODE:INTERFACE.`,
    next: 'Write it like r1:eth0.',
    values: { value: text },
  });
}

export async function link(
  context: Context,
  word: string,
  endpoint: string,
  verb: LinkVerb,
  options: LinkOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const place = parsePlace(endpoint);
  if (!place.ok) return printFailure(place.failure, json);
  const change: InterfaceStateChange = {
    lab: lab.value,
    ...place.value,
    state: verb === 'up' ? 'up' : 'down',
    forMilliseconds: verb === 'flap' ? options.for : null,
  };
  const set = await context.workbench.setInterfaceState(change);
  if (!set.ok) return printFailure(set.failure, json);
  if (json) printJson(change);
  else if (verb === 'flap') printResult(`${endpoint} is down, for ${String(options.for)} ms.`);
  else printResult(`${endpoint} is ${verb}.`);
  return 0;
}
