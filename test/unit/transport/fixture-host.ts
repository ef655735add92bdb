/**
 * The story of the host realm, told as one JSON object. Runs as root in namespaces where /run, /var/lib and /etc/passwd
 * are its own; `tester` is a user of uid 4242 there.
 */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { enrolUser, revokeUser } from '../../../main/agent-link/enrolment.ts';
import { Realms } from '../../../main/agent-link/realms.ts';

const [applicationRoot = ''] = process.argv.slice(2);
const realms = new Realms({ applicationRoot });

/** What the user gets who wants the host realm. */
function asUser(): unknown {
  const identity = ['--reuid', '4242', '--regid', '4242', '--clear-groups'];
  const starter = [`${applicationRoot}/dist/starter.js`, applicationRoot, 'start-agent', 'host'];
  const env = { PATH: process.env['PATH'], HOME: '/run/tester' };
  const run = spawnSync('setpriv', [...identity, process.execPath, ...starter], { cwd: '/', env });
  const text = run.stdout.toString();
  if (text === '') throw new Error(run.stderr.toString());
  const said: unknown = JSON.parse(text);
  return said;
}

const story: Record<string, unknown> = {};
story['nobody started it'] = asUser();
const started = await realms.ensure('host');
story['root starts it'] = started.ok ? started.value.info.realm : started.failure;
story['directory'] = (statSync('/run/netloom/host').mode & 0o7777).toString(8);
story['not enrolled'] = asUser();
const enrolled = await enrolUser('tester', 'read');
story['enrolled'] = enrolled.ok ? enrolled.value.uid : enrolled.failure;
await new Promise((resolve) => setTimeout(resolve, 1_000));
story['enrolled user'] = asUser();
const revoked = await revokeUser('tester');
story['revoked'] = revoked.ok;
await new Promise((resolve) => setTimeout(resolve, 1_000));
story['revoked user'] = asUser();
story['root goes on'] = started.ok && (await started.value.client.call('agent.info', {})).ok;
story['stopped'] = (await realms.stopAgent('host')).ok;
process.stdout.write(`${JSON.stringify(story)}\n`);
process.exit(0);
