/** Starts one run and waits to be killed: `run-driver.js NAMESPACE RUN LOG`, with RUN as JSON. Prints the pid. */
import { openNamespaceByName } from '../../agent/kernel/namespaces.ts';
import { type RunOrder, startRun } from '../../agent/kernel/runs.ts';

const [name = '', order = '', log = ''] = process.argv.slice(2);
const opened = openNamespaceByName(name);
if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
const run: RunOrder = JSON.parse(order);
const started = startRun(opened.value, run, log);
process.stdout.write(`${JSON.stringify(started)}\n`);
setInterval(() => undefined, 1000);
