import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { type LabRecord, type Plan, succeed } from '../../../agent/api/index.ts';
import type { BridgeStreamMessage } from '../../../main/bridge/host.ts';
import { hashOf } from '../../../main/library/atomic-file.ts';
import { Workbench } from '../../../main/workbench/workbench.ts';
import { FakeDoor, makeRecord } from './fake-door.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const text = `netloom: 1
name: wire
topology:
  nodes:
    a: { kind: namespace }
    b: { kind: namespace }
  links:
    - endpoints: ['a:e0', 'b:e0']
`;
const target = { kind: 'document', text, path: '/labs/wire.yaml', replace: false } as const;
const realm = 'sandbox:wire';

let door: FakeDoor;
let workbench: Workbench;
let published: BridgeStreamMessage[];

beforeEach(() => {
  door = new FakeDoor(temporaryDirectory());
  published = [];
  workbench = new Workbench({ door, publish: (message) => published.push(message) });
});

/** What a realm that has ended left behind. */
function leaveState(record: LabRecord, revisions: readonly string[] = [text]): string {
  const directory = path.join(door.stateDirectory(record.realm), 'labs', record.name);
  mkdirSync(path.join(directory, 'revisions'), { recursive: true });
  writeFileSync(path.join(directory, 'record.json'), JSON.stringify(record));
  revisions.forEach((revision, index) => {
    writeFileSync(path.join(directory, 'revisions', `${index + 1}.yaml`), revision);
  });
  door.states.set(record.realm, 'gone');
  return directory;
}

async function planned(...args: Parameters<Workbench['plan']>): Promise<Plan> {
  const plan = await workbench.plan(...args);
  if (!plan.ok) throw new Error(plan.failure.reason);
  return plan.value;
}

/** The agent's answer to a plan: the same steps, under an id of its own. */
function agentAgrees(plan: Plan): void {
  door.answers = {
    'lab.plan': () => succeed({ ...plan, id: 'agent-plan' }),
    'lab.apply': ({ plan: id }) => {
      door.events.push(`applied ${id}`);
      door.records.set('wire', makeRecord());
      return succeed({
        lab: 'wire',
        up: true,
        revision: 1,
        operations: plan.steps.length,
        milliseconds: 1,
        realmEmpty: false,
        awaiting: null,
      });
    },
  };
}

describe('a plan without a realm', () => {
  it('is made against nothing, in the sandbox of the lab, and starts nothing', async () => {
    const plan = await planned(target, null);
    expect(plan.realm).toBe(realm);
    expect(plan.base).toBeNull();
    expect(plan.id).toMatch(/^main-/);
    expect(plan.steps.map(({ verb, object }) => `${verb} ${object}`).slice(0, 3)).toEqual([
      'add namespace',
      'add namespace',
      'add veth',
    ]);
    expect(door.events).toEqual([]);
  });

  it('says the places of what is wrong with the document', async () => {
    const wrong = await workbench.plan({ ...target, text: 'netloom: 1\nname: wire\n' }, null);
    expect(wrong).toMatchObject({
      ok: false,
      failure: { kind: 'invalid-document', causes: [{ place: { file: '/labs/wire.yaml' } }] },
    });
  });

  it('makes the realm when it is applied, and applies what was shown', async () => {
    const plan = await planned(target, null);
    agentAgrees(plan);
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({ ok: true, value: { up: true } });
    expect(door.events).toEqual([
      `start ${realm}`,
      'lab.list',
      'lab.plan',
      'lab.apply',
      'applied agent-plan',
      'lab.list',
    ]);
  });

  it('opens the way out of the realm that it makes where that was allowed, once', async () => {
    const asking = {
      ...target,
      text: 'netloom: 1\nname: wire\ntopology: { nodes: { out: { kind: internet } } }\n',
    };
    expect((await planned(asking, null)).refusals).toMatchObject([
      { code: 'internet-not-allowed' },
    ]);
    expect(await workbench.allowInternet(realm)).toMatchObject({ ok: true });
    expect(door.events).toEqual([]);
    const plan = await planned(asking, null);
    expect(plan.refusals).toEqual([]);
    agentAgrees(plan);
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({ ok: true });
    expect(door.events.slice(0, 4)).toEqual([
      `start ${realm}`,
      'lab.list',
      `open ${realm}`,
      'lab.plan',
    ]);
    door.outside.clear();
    door.become(realm, 'gone');
    expect((await planned(asking, null)).refusals).toMatchObject([
      { code: 'internet-not-allowed' },
    ]);
  });

  it('opens nothing for a lab that does not ask for it', async () => {
    expect(await workbench.allowInternet(realm)).toMatchObject({ ok: true });
    const plan = await planned(target, null);
    agentAgrees(plan);
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({ ok: true });
    expect(door.events).not.toContain(`open ${realm}`);
  });

  it('is stale when the realm would do something else, and the realm is not left behind', async () => {
    const plan = await planned(target, null);
    agentAgrees({ ...plan, steps: plan.steps.slice(1) });
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({
      ok: false,
      failure: { kind: 'stale-plan' },
    });
    expect(door.events).not.toContain('lab.apply');
    expect(door.events.at(-1)).toBe(`end ${realm}`);
  });

  it('is not stale because the realm’s Open vSwitch says flows in other words', async () => {
    const text =
      "netloom: 1\nname: wire\ntopology: { nodes: { sw: { kind: ovs-bridge, flows: ['in_port=1,actions=normal'] } } }\n";
    const plan = await planned({ ...target, text }, null);
    const said = plan.steps.map((step) =>
      step.object === 'openflow' ? { ...step, commands: ['in other words'] } : step,
    );
    expect(said).not.toEqual(plan.steps);
    agentAgrees({ ...plan, steps: said });
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({ ok: true });
  });

  it('is applied once', async () => {
    const plan = await planned(target, null);
    agentAgrees(plan);
    await workbench.apply(plan.id ?? '');
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({
      ok: false,
      failure: { kind: 'stale-plan' },
    });
  });

  it('is refused for another file with the name of a known lab, with both paths', async () => {
    leaveState(makeRecord({ up: false }));
    const plan = await planned({ ...target, path: '/elsewhere/wire.yaml' }, null);
    expect(plan.refusals).toMatchObject([
      {
        kind: 'name-taken',
        values: { path: '/labs/wire.yaml', other: '/elsewhere/wire.yaml' },
      },
    ]);
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({
      ok: false,
      failure: { kind: 'name-taken' },
    });
    const replacing = { ...target, path: '/elsewhere/wire.yaml', replace: true };
    expect((await planned(replacing, null)).refusals).toEqual([]);
  });
});

describe('a lab whose realm has ended', () => {
  it('is gone, with its history', async () => {
    leaveState(makeRecord({ incarnation: 'before' }));
    const overview = await workbench.overview('wire', null, text);
    expect(overview).toMatchObject({ state: 'gone', canUndo: false, canRedo: false });
    expect(overview.revisions).toHaveLength(1);
    expect(await workbench.revisionText('wire', 1)).toEqual({ ok: true, value: text });
  });

  it('can be brought up at a kept revision, and has nothing to undo', async () => {
    leaveState(makeRecord({ incarnation: 'before' }));
    const plan = await planned({ kind: 'revision', lab: 'wire', revision: 1 }, null);
    expect(plan).toMatchObject({ goal: { kind: 'revision', revision: 1 }, document: text });
    expect(await workbench.plan({ kind: 'undo', lab: 'wire' }, null)).toMatchObject({
      ok: false,
      failure: { kind: 'realm-gone', code: 'lab-gone', next: 'Bring up revision 1.' },
    });
    expect(
      await workbench.plan({ kind: 'revision', lab: 'wire', revision: 7 }, null),
    ).toMatchObject({ ok: false, failure: { code: 'unknown-revision' } });
  });

  it('is down once it was taken down, and no realm is made for that', async () => {
    const directory = leaveState(makeRecord({ incarnation: 'before' }));
    const plan = await planned({ kind: 'down', lab: 'wire' }, null);
    expect(plan.steps).toEqual([]);
    expect(await workbench.apply(plan.id ?? '')).toMatchObject({ ok: true, value: { up: false } });
    expect(door.events).toEqual([]);
    expect(readFileSync(path.join(directory, 'record.json'), 'utf8')).toContain('"up": false');
    expect((await workbench.overview('wire', null, text)).state).toBe('down');
  });

  it('can be forgotten, through no link that leads elsewhere', async () => {
    const directory = leaveState(makeRecord({ up: false }));
    expect((await workbench.forget('wire')).ok).toBe(true);
    expect(existsSync(directory)).toBe(false);

    const victim = temporaryDirectory();
    mkdirSync(path.join(victim, 'wire'));
    writeFileSync(path.join(victim, 'wire/record.json'), JSON.stringify(makeRecord()));
    mkdirSync(door.stateDirectory(realm), { recursive: true });
    symlinkSync(victim, path.join(door.stateDirectory(realm), 'labs'));
    expect(await workbench.record('wire')).toBeNull();
    await workbench.forget('wire');
    expect(existsSync(path.join(victim, 'wire/record.json'))).toBe(true);
  });
});

describe('the state of a lab', () => {
  const stateWith = async (record: LabRecord, shown: string | null): Promise<string> => {
    door.states.set(record.realm, 'running');
    door.records.set(record.name, record);
    door.answers = {
      'lab.document': () =>
        succeed({ status: { record, drift: 0, checks: [], busy: false, awaiting: null }, text }),
    };
    return (await workbench.overview('wire', null, shown)).state;
  };
  const inForce = makeRecord({ documentHash: hashOf(text) });

  it('is new for a lab that nobody has brought up', async () => {
    expect((await workbench.overview('wire', null, text)).state).toBe('new');
  });

  it('is up as long as the text asks for what is in force, however it is drawn', async () => {
    expect(await stateWith(inForce, text)).toBe('up');
    expect(await stateWith(inForce, `${text}positions:\n  a: [1, 2]\n# moved\n`)).toBe('up');
  });

  it('is changed when it asks for something else', async () => {
    expect(await stateWith(inForce, text.replace('b: {', 'c: { kind: namespace }\n    b: {'))).toBe(
      'changed',
    );
    expect(await stateWith(inForce, 'broken: [')).toBe('changed');
  });

  it('is gone when the realm is another one than that in which it was up', async () => {
    expect(await stateWith(makeRecord({ incarnation: 'before' }), text)).toBe('gone');
  });

  it('is unknown while the agent does not answer', async () => {
    leaveState(makeRecord());
    door.states.set(realm, 'agent-lost');
    expect((await workbench.overview('wire', null, text)).state).toBe('unknown');
    expect(await workbench.plan({ kind: 'undo', lab: 'wire' }, null)).toMatchObject({
      ok: false,
      failure: { kind: 'unreachable', code: 'agent-lost' },
    });
  });
});

describe('the last lab of a realm', () => {
  it('takes the realm with it when it goes down', async () => {
    door.states.set(realm, 'running');
    door.records.set('wire', makeRecord());
    const plan: Plan = {
      id: 'down-plan',
      lab: 'wire',
      realm,
      goal: { kind: 'down' },
      base: 1,
      document: null,
      steps: [],
      warnings: [],
      refusals: [],
      confirm: null,
    };
    door.answers = {
      'lab.plan': () => succeed(plan),
      'lab.apply': () => {
        door.records.set('wire', makeRecord({ up: false }));
        return succeed({
          lab: 'wire',
          up: false,
          revision: 1,
          operations: 1,
          milliseconds: 1,
          realmEmpty: true,
          awaiting: null,
        });
      },
    };
    await planned({ kind: 'down', lab: 'wire' }, null);
    await workbench.apply('down-plan');
    expect(door.events.at(-1)).toBe(`end ${realm}`);
  });
});

describe('a window that watches', () => {
  it('hears of a realm that others make, of its agent’s loss and of its end, each once', async () => {
    workbench.watch();
    const states = (): readonly string[] =>
      published.flatMap((message) => (message.stream === 'realm' ? [message.value.state] : []));
    for (const state of ['running', 'agent-lost', 'gone'] as const) {
      door.become(realm, state);
      await expect.poll(() => states().at(-1)).toBe(state);
    }
    expect(states()).toEqual(['running', 'agent-lost', 'gone']);
    workbench.close();
  });
});

describe('an agent that has died', () => {
  it('is started again also where its connection has yet to notice', async () => {
    door.states.set(realm, 'running');
    expect(await workbench.connection(realm)).toMatchObject({ ok: true });
    door.states.set(realm, 'agent-lost');
    expect(await workbench.startAgent(realm)).toMatchObject({
      ok: true,
      value: { state: 'running' },
    });
    expect(door.events).toContain(`start ${realm}`);
    workbench.close();
  });
});
