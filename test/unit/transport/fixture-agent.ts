/** An agent that knows two calls: it is started as the real one is. */
import { parseArgs } from 'node:util';
import { AgentServer, readAgentKeys } from '../../../agent/transport/index.ts';
import { handlersWith, info } from './handlers.ts';

const { values } = parseArgs({
  options: {
    realm: { type: 'string' },
    runtime: { type: 'string' },
    state: { type: 'string' },
  },
});
const directory = values.runtime ?? '';
const keys = readAgentKeys(directory);
if (!keys.ok) throw new Error(keys.failure.reason);
const server = new AgentServer({
  directory,
  keys: keys.value,
  log: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  handlers: handlersWith({
    'agent.info': () =>
      Promise.resolve({
        ok: true,
        value: { ...info, realm: values.realm ?? '', pid: process.pid, recoveries: [] },
      }),
    'agent.stop': () => {
      setTimeout(() => void server.close().then(() => process.exit(0)), 10);
      return Promise.resolve({ ok: true, value: {} });
    },
  }),
});
const started = await server.start();
if (!started.ok) throw new Error(started.failure.reason);
