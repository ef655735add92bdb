/** The thread of a capture: `CaptureSession`, asked by messages. Started by `SessionThread`. */
import { parentPort } from 'node:worker_threads';
import { CaptureSession } from './capture/capture-session.ts';
import type { SessionOrder, SessionReply } from './capture/session-thread.ts';
import { closeHomeNamespace } from './kernel/namespaces.ts';

const port = parentPort;
if (port === null) throw new Error('The program of a capture is a thread of the agent.');

const send = (reply: SessionReply): void => {
  port.postMessage(reply);
};

const session = new CaptureSession((event) => {
  send({ kind: 'event', event });
});

port.on('message', (order: SessionOrder) => {
  if (order.kind === 'close') {
    session.close();
    // Descriptors belong to the process: what the thread leaves open stays open.
    closeHomeNamespace();
    send({ kind: 'closed' });
    return;
  }
  const { id, call, argument } = order;
  // Both ends name the same methods (`SessionPort`).
  const method = session[call].bind(session) as (
    argument: unknown,
  ) => ReturnType<CaptureSession[typeof call]>;
  void answer(id, () => method(argument));
});

async function answer(
  id: number,
  ask: () => ReturnType<CaptureSession['rows' | 'open']> | Promise<unknown>,
): Promise<void> {
  try {
    const result = (await ask()) as Extract<SessionReply, { kind: 'result' }>['result'];
    send({ kind: 'result', id, result });
  } catch (error) {
    send({
      kind: 'thrown',
      id,
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
}
