/** The flows of a capture, printed when it ends. */
import {
  type CapturedInterface,
  type CaptureFlow,
  flowCsvLine,
  flowsCsvHead,
  maximumCaptureRows,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { interfaceTitle } from '../../agent/dissect/capture/capture-writer.ts';
import type { Finished, Sink } from './capture-verb.ts';
import { formatTable, printable, printProgress, printResult } from './output.ts';

type Form = 'table' | 'json' | 'csv';

export function flowSink(form: Form): Sink {
  return {
    take: () => Promise.resolve(succeed(undefined)),
    finish: (done) => printFlows(done, form),
    drop: () => Promise.resolve(),
  };
}

async function printFlows(
  { agent, capture, interfaces }: Finished,
  form: Form,
): Promise<Result<void>> {
  const answer = await agent.call('capture.flows', { capture, count: maximumCaptureRows });
  if (!answer.ok) return answer;
  const { flows, total } = answer.value;
  const titlesOf = (flow: CaptureFlow): readonly string[] =>
    flow.interfaces.flatMap((number) => {
      const found = interfaces.get(number);
      return found === undefined ? [] : [titleOfInterface(found)];
    });
  const spaceOf = ({ namespace }: CaptureFlow): string | null =>
    [...interfaces.values()].find((one) => one.namespace === namespace)?.title ?? null;
  switch (form) {
    case 'csv':
      process.stdout.write(flowsCsvHead);
      for (const flow of flows) {
        process.stdout.write(flowCsvLine(flow, spaceOf(flow), titlesOf(flow)));
      }
      break;
    case 'json':
      for (const flow of flows) {
        const named = { ...flow, namespace: spaceOf(flow), interfaces: titlesOf(flow) };
        process.stdout.write(`${JSON.stringify(named)}\n`);
      }
      break;
    case 'table':
      printResult(
        formatTable(
          ['NAMESPACE', 'PROTOCOL', 'FIRST', 'SECOND', 'PACKETS', 'BYTES', 'STATE', 'PROCESS'],
          flows.map((flow) => [
            spaceOf(flow) ?? '–',
            flow.protocol,
            ...[endOf(flow, 0), endOf(flow, 1)],
            ...[String(flow.packets), String(flow.bytes), flow.tcp?.state ?? ''],
            printable(processesOf(flow)),
          ]),
        ),
      );
  }
  if (total > flows.length)
    printProgress(`${String(total - flows.length)} flows more are not shown`);
  return succeed(undefined);
}

function endOf({ ends }: CaptureFlow, place: 0 | 1): string {
  const end = ends[place];
  if (end === undefined) return '';
  const { address, port } = end;
  if (port === null) return address;
  return address.includes(':') ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
}

/** `curl (412)`, of both ends where both are here. */
function processesOf({ ends }: CaptureFlow): string {
  return ends
    .flatMap(({ process }) =>
      process === undefined ? [] : `${process.name} (${String(process.pid)})`,
    )
    .join(' → ');
}

export function titleOfInterface({ title, name }: CapturedInterface): string {
  return interfaceTitle({ namespace: title, name });
}
