/** A process that wants a realm, as a window or the CLI does: says what it got as one line of JSON, and ends. */
import { Realms } from '../../../main/agent-link/realms.ts';

const [applicationRoot = '', act = '', realm = ''] = process.argv.slice(2);
const realms = new Realms({ applicationRoot });
if (act === 'end') {
  process.stdout.write(`${JSON.stringify(await realms.end(realm))}\n`);
} else {
  const outcome = act === 'ensure' ? await realms.ensure(realm) : await realms.startAgent(realm);
  const said = outcome.ok ? { info: outcome.value.info } : { failure: outcome.failure };
  process.stdout.write(`${JSON.stringify({ ...said, sight: realms.look(realm) })}\n`);
  if (outcome.ok) outcome.value.client.close();
}
