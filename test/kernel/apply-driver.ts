/** One apply in a process of its own, to be killed: `apply-driver.js STATE TARGET`, with NETLOOM_FAULT. */
import type { PlanTarget } from '../../agent/api/calls.ts';
import { apply, openBench } from './apply-harness.ts';

const [state = '', target = ''] = process.argv.slice(2);
const bench = await openBench({ state, fault: process.env['NETLOOM_FAULT'] ?? '' });
const wanted: PlanTarget = JSON.parse(target);
const outcome = await apply(bench, wanted);
process.stdout.write(JSON.stringify({ outcome, recoveries: bench.opened.recoveries }));
await bench.close();
process.exit();
