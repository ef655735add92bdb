/** What the agent of the host answers to whom: people share it, and it is root. */
import { expect, it } from 'vitest';
import { makeHandlers } from '../../../agent/services/handlers.ts';
import type { Peer } from '../../../agent/transport/handlers.ts';

const peer = (uid: number): Peer => ({
  ...{ key: 'k', name: 'n', access: 'write', connection: 'c' },
  uid,
});
const context = (uid: number) => ({
  signal: new AbortController().signal,
  progress: () => undefined,
  peer: peer(uid),
});

interface Asked {
  readonly call: string;
  readonly as: unknown;
}

function handlersOf(shared: boolean) {
  const asked: Asked[] = [];
  const answer = {
    ok: false,
    failure: { kind: 'bug', code: 'x', object: '', reason: '', next: '' },
  };
  const handlers = makeHandlers({
    info: () => {
      throw new Error('not asked');
    },
    stop: () => asked.push({ call: 'stop', as: null }),
    tracker: {} as never,
    engines: {} as never,
    captures: {} as never,
    labs: {
      prepare: () => Promise.resolve(),
      plan: (_target: unknown, caller: unknown) => {
        asked.push({ call: 'plan', as: caller });
        return answer;
      },
      apply: (...[, , , , caller]: readonly unknown[]) => {
        asked.push({ call: 'apply', as: caller });
        return Promise.resolve(answer);
      },
    } as never,
    processes: {
      run: ({ uid }: { readonly uid: number | null }) => {
        asked.push({ call: 'run', as: uid });
        return Promise.resolve(answer);
      },
    } as never,
    readOnly: null,
    shared,
  });
  return { handlers, asked };
}

it('on the host a person does not stop it, root does', async () => {
  const { handlers, asked } = handlersOf(true);
  expect(await handlers['agent.stop']({}, context(1000))).toMatchObject({
    ok: false,
    failure: { kind: 'not-allowed', code: 'only-root' },
  });
  expect(asked).toEqual([]);
  expect((await handlers['agent.stop']({}, context(0))).ok).toBe(true);
  expect(asked).toEqual([{ call: 'stop', as: null }]);
});

it.each([
  [true, { uid: 1000 }, 1000],
  [false, null, null],
])(
  'shared %s: plans, applies and runs as the one whom the kernel names',
  async (shared, caller, uid) => {
    const { handlers, asked } = handlersOf(shared);
    await handlers['lab.plan']({ target: { kind: 'down', lab: 'l' } }, context(1000));
    await handlers['lab.apply']({ plan: 'p' }, context(1000));
    const place = { kind: 'realm' } as const;
    await handlers['process.run']({ place, command: ['id'], terminal: null }, context(1000));
    expect(asked).toEqual([
      { call: 'plan', as: caller },
      { call: 'apply', as: caller },
      { call: 'run', as: uid },
    ]);
  },
);
