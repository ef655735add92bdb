/** Handlers for agents of tests, which answer little. */
import { fail, type Failure, type Result } from '../../../agent/api/index.ts';
import type { AgentHandlers } from '../../../agent/transport/index.ts';

const unanswered: Failure = {
  kind: 'unsupported',
  code: 'not-in-this-test',
  object: 'test',
  reason: 'The test has no handler for it.',
  next: 'Give it one.',
};

const refuse = (): Promise<Result<never>> => Promise.resolve(fail(unanswered));

export const info = {
  apiVersion: 1,
  version: '0.1.0',
  realm: 'sandbox:test',
  pid: process.pid,
  incarnation: 'test',
  kernel: 'test',
  startedAt: '2026-01-01T00:00:00Z',
  readOnly: false,
  recoveries: [],
} as const;

export function handlersWith(own: Partial<AgentHandlers>): AgentHandlers {
  return {
    'agent.info': () => Promise.resolve({ ok: true, value: { ...info, recoveries: [] } }),
    'agent.stop': refuse,
    'inventory.snapshot': refuse,
    'bridge.fdb': refuse,
    'openflow.flows': refuse,
    'openflow.trace': refuse,
    'ovs.bridge': refuse,
    'ovs.figures': refuse,
    'collector.records': refuse,
    'cpu.watch': refuse,
    'cpu.bind': refuse,
    'cpu.candidates': refuse,
    'rates.watch': refuse,
    'capture.start': refuse,
    'capture.stop': refuse,
    'capture.rows': refuse,
    'capture.packet': refuse,
    'capture.sightings': refuse,
    'capture.flows': refuse,
    'capture.read': refuse,
    'lab.list': () => Promise.resolve({ ok: true, value: { labs: [] } }),
    'lab.document': refuse,
    'lab.plan': refuse,
    'lab.apply': refuse,
    'lab.confirm': refuse,
    'lab.revert': refuse,
    'lab.check': refuse,
    'lab.forget': () => Promise.resolve({ ok: true, value: {} }),
    'interface.setState': refuse,
    'process.run': refuse,
    'process.input': () => Promise.resolve({ ok: true, value: {} }),
    'process.resize': refuse,
    'process.acknowledge': refuse,
    ...own,
  };
}
