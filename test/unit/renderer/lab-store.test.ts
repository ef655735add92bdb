import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CheckResult, fail, succeed } from '../../../agent/api/index.ts';
import { useNotices } from '../../../renderer/app/notice-store.ts';
import { useLab } from '../../../renderer/topology/lab-store.ts';
import {
  documentOf,
  failure,
  type FakeMain,
  openWindow,
  overviewOf,
  planOf,
} from './fake-window.ts';

const path = '/labs/demo.yaml';
const textOf = (title: string) =>
  `netloom: 1\nname: demo\ntitle: ${title}\ntopology:\n  nodes: {}\n`;
const first = textOf('first');
const setTitle = (title: string) => [{ kind: 'set-title', title }] as const;

let main: FakeMain;
let lab: ReturnType<typeof useLab>;

/** A main that saves everything, finds no problems, and says `overview` of the lab. */
beforeEach(async () => {
  vi.useFakeTimers();
  main = openWindow();
  let version = 1;
  main.answers['document.validate'] = ({ text }: { text: string }) =>
    succeed({
      document: documentOf(/title: (?<title>.*)/.exec(text)?.groups?.['title'] ?? ''),
      problems: [],
      advice: [],
    });
  main.answers['document.save'] = ({ text }: { text: string }) =>
    succeed({ path, text, version: `v${++version}` });
  main.answers['lab.overview'] = () => succeed(overviewOf('up'));
  lab = useLab();
  await lab.openDocument({ path, text: first, version: 'v1' });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('editing', () => {
  it('saves a moment after the last edit, naming the version it replaces', async () => {
    lab.edit(setTitle('second'));
    await vi.advanceTimersByTimeAsync(300);
    lab.edit(setTitle('third'));
    await vi.advanceTimersByTimeAsync(300);
    expect(main.argsOf('document.save')).toEqual([]);
    await vi.advanceTimersByTimeAsync(400);
    expect(main.argsOf('document.save')).toEqual([{ path, text: textOf('third'), version: 'v1' }]);
    lab.edit(setTitle('fourth'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(main.argsOf('document.save')[1]).toMatchObject({ version: 'v2' });
  });

  it('keeps the last drawing while the text cannot be read', async () => {
    main.answers['document.validate'] = () =>
      succeed({ document: null, problems: [failure('invalid-document')], advice: [] });
    lab.change('title: [');
    await vi.advanceTimersByTimeAsync(0);
    expect(lab.document?.title).toBe('first');
    expect(lab.validation?.problems).toHaveLength(1);
  });

  it('ignores the answer about a text that is no longer there', async () => {
    const answers: (() => void)[] = [];
    main.answers['document.validate'] = ({ text }: { text: string }) =>
      new Promise((resolve) =>
        answers.push(() =>
          resolve(succeed({ document: documentOf(text), problems: [], advice: [] })),
        ),
      );
    lab.change('older');
    lab.change('newer');
    answers[1]?.();
    answers[0]?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(lab.document?.title).toBe('newer');
  });

  it('asks about an edit without making it, and knows old problems from new ones', async () => {
    const known = { ...failure('invalid-document'), reason: 'Known.' };
    const added = { ...failure('invalid-document'), reason: 'New.' };
    main.answers['document.validate'] = ({ text }: { text: string }) =>
      succeed({
        document: documentOf(''),
        problems: text === first ? [known] : [known, added],
        advice: [],
      });
    lab.change(textOf('other'));
    lab.change(first);
    await vi.advanceTimersByTimeAsync(0);
    expect(await lab.objection(setTitle('bad'))).toEqual(added);
    expect(lab.text).toBe(first);
  });
});

describe('the realm', () => {
  const plan = async (): Promise<unknown> => {
    main.answers['lab.plan'] = () => succeed(planOf('p1', first));
    await lab.makePlan({ kind: 'document' });
    return main.argsOf('lab.plan').at(-1);
  };

  it('is the lab’s own unless somebody says otherwise', async () => {
    main.emit('lab', overviewOf('down', { revision: 1 }));
    expect(await plan()).not.toHaveProperty('realm');
  });

  it('is the one that was chosen, and a plan for another is not shown on', async () => {
    main.emit('lab', overviewOf('down', { revision: 1 }));
    await plan();
    lab.chooseRealm('host');
    expect(lab.realm).toBe('host');
    expect(lab.shownPlan).toBeNull();
    expect(await plan()).toMatchObject({ realm: 'host' });
  });

  it('is no choice while the lab is up', async () => {
    main.emit('lab', overviewOf('up', { revision: 1 }));
    lab.chooseRealm('host');
    expect(lab.realm).not.toBe('host');
    expect(await plan()).not.toHaveProperty('realm');
  });
});

describe('undo', () => {
  it('takes unapplied edits back one by one and makes them again', async () => {
    lab.edit(setTitle('second'));
    lab.edit(setTitle('third'));
    await lab.undo();
    expect(lab.text).toBe(textOf('second'));
    await lab.undo();
    expect(lab.text).toBe(first);
    await lab.redo();
    await lab.redo();
    expect(lab.text).toBe(textOf('third'));
    expect(main.argsOf('lab.plan')).toEqual([]);
  });

  it('forgets what could be made again once something else is done', async () => {
    lab.edit(setTitle('second'));
    await lab.undo();
    lab.edit(setTitle('other'));
    await lab.redo();
    expect(lab.text).toBe(textOf('other'));
  });

  it('plans the way back when the document is what is in force', async () => {
    main.emit('lab', overviewOf('up', { revision: 2, canUndo: true }));
    main.answers['lab.plan'] = () => succeed(planOf('p1', textOf('before')));
    expect(lab.canUndo).toBe(true);
    await lab.undo();
    expect(main.argsOf('lab.plan')).toEqual([{ lab: 'demo', target: { kind: 'undo' } }]);
    expect(lab.text).toBe(first);
    expect(lab.canApply).toBe(true);
  });

  it('takes changes of an earlier day back at once, and makes them again', async () => {
    main.emit('lab', overviewOf('changed', { revision: 2, canUndo: true }));
    main.answers['lab.revision'] = () => succeed({ text: textOf('in force') });
    await lab.undo();
    expect(main.argsOf('lab.revision')).toEqual([{ lab: 'demo', revision: 2 }]);
    expect(lab.text).toBe(textOf('in force'));
    expect(main.argsOf('lab.plan')).toEqual([]);
    await lab.redo();
    expect(lab.text).toBe(first);
  });

  it('makes the document that of the revision once the way back is done, and saves it', async () => {
    main.emit('lab', overviewOf('up', { revision: 2, canUndo: true }));
    const before = textOf('before');
    main.answers['lab.plan'] = () => succeed(planOf('p1', before));
    main.answers['lab.apply'] = () => succeed(outcome(1));
    main.answers['lab.overview'] = () => succeed(overviewOf('up', { revision: 1, canRedo: true }));
    await lab.undo();
    expect(await lab.apply()).toBe(true);
    expect(lab.text).toBe(before);
    expect(main.argsOf('document.save')).toMatchObject([{ text: before }]);
    expect(lab.past).toEqual([]);
    expect(lab.canRedo).toBe(true);
  });
});

describe('plan and apply', () => {
  beforeEach(() => {
    main.answers['lab.plan'] = ({ target }: { target: { text: string } }) =>
      succeed(planOf('p1', target.text));
  });

  it('does not apply a plan of a text that has changed since', async () => {
    await lab.makePlan({ kind: 'document' });
    expect(lab.canApply).toBe(true);
    lab.edit(setTitle('second'));
    expect(lab.planCurrent).toBe(false);
    expect(await lab.apply()).toBe(false);
    expect(main.argsOf('lab.apply')).toEqual([]);
  });

  it('takes up a plan again when its edit is taken back', async () => {
    await lab.makePlan({ kind: 'document' });
    lab.edit(setTitle('second'));
    await lab.undo();
    expect(lab.planCurrent).toBe(true);
  });

  it('does not apply what is refused', async () => {
    main.answers['lab.plan'] = () =>
      succeed({ ...planOf('p1', first), refusals: [failure('name-taken')] });
    await lab.makePlan({ kind: 'document' });
    expect(lab.canApply).toBe(false);
  });

  it('waits for a field that still asks whether it may be written', async () => {
    let finish: () => void = () => undefined;
    lab.track(new Promise<void>((resolve) => (finish = resolve)));
    const planning = lab.makePlan({ kind: 'document' });
    await vi.advanceTimersByTimeAsync(100);
    expect(main.argsOf('lab.plan')).toEqual([]);
    lab.edit(setTitle('typed'));
    finish();
    await planning;
    expect(main.argsOf('lab.plan')).toMatchObject([{ target: { text: textOf('typed') } }]);
  });

  it('shows what would happen now when the plan is stale', async () => {
    main.answers['lab.apply'] = () => fail(failure('stale-plan'));
    await lab.makePlan({ kind: 'document' });
    expect(await lab.apply()).toBe(false);
    expect(main.argsOf('lab.plan')).toHaveLength(2);
    expect(lab.canApply).toBe(true);
  });

  it('keeps the step that failed and why', async () => {
    main.answers['lab.apply'] = (_args: never, progress: (value: unknown) => void) => {
      progress({ lab: 'demo', plan: 'p1', phase: 'roll-back', done: 1, total: 2, failedStep: 1 });
      return fail(failure('rolled-back'));
    };
    await lab.makePlan({ kind: 'document' });
    await lab.apply();
    expect(lab.shownPlan).toMatchObject({ failedStep: 1, failure: { kind: 'rolled-back' } });
    expect(lab.transaction).toBeNull();
    expect(useNotices().notices).toHaveLength(1);
  });

  it('takes back what it said of a failure once that is over', async () => {
    const notices = useNotices();
    main.answers['lab.plan'] = () => fail(failure('invalid-document'));
    await lab.makePlan({ kind: 'document' });
    expect(notices.notices).toHaveLength(1);
    // Another text, another plan.
    lab.edit(setTitle('another'));
    expect(notices.notices).toEqual([]);
    await lab.makePlan({ kind: 'document' });
    expect(notices.notices).toHaveLength(1);
    main.answers['lab.plan'] = () => succeed(planOf('p3', null));
    await lab.makePlan({ kind: 'document' });
    expect(notices.notices).toEqual([]);
  });

  it('does not show a transaction again whose last words come late', async () => {
    main.answers['lab.apply'] = () => succeed(outcome(2));
    await lab.makePlan({ kind: 'document' });
    await lab.apply();
    main.emit('transaction', {
      lab: 'demo',
      plan: 'p1',
      phase: 'commit',
      done: 2,
      total: 2,
      failedStep: null,
    });
    expect(lab.transaction).toBeNull();
  });

  it('offers to replace a lab of that name that came from another file', async () => {
    main.answers['lab.plan'] = ({ target }: { target: { replace: boolean; text: string } }) =>
      target.replace ? succeed(planOf('p2', target.text)) : fail(failure('name-taken'));
    await lab.makePlan({ kind: 'document' });
    expect(lab.shownPlan).toBeNull();
    useNotices().notices[0]?.actions[0]?.run();
    await vi.advanceTimersByTimeAsync(0);
    expect(lab.shownPlan?.plan.id).toBe('p2');
  });

  it('runs the checks of a lab that has come up', async () => {
    const result: CheckResult = {
      index: 0,
      label: 'r1 → r2',
      outcome: 'passed',
      code: 'reached',
      values: { from: 'r1', to: 'r2', roundTrip: '0.04' },
      sentence: 'r1 reaches r2.',
      roundTripMilliseconds: 0.04,
    };
    main.answers['document.validate'] = () =>
      succeed({
        document: { ...documentOf(''), checks: [{ check: 'reach', from: 'r1', to: 'r2' }] },
        problems: [],
        advice: [],
      });
    main.answers['lab.apply'] = () => succeed(outcome(1));
    main.answers['lab.check'] = () => succeed({ results: [result] });
    lab.change(textOf('with checks'));
    await lab.makePlan({ kind: 'document' });
    await lab.apply();
    await vi.advanceTimersByTimeAsync(0);
    expect(lab.checkResults).toEqual([result]);
  });
});

describe('a file that somebody else changes', () => {
  it('is loaded when this window has nothing of its own', async () => {
    main.answers['document.open'] = () => succeed({ path, text: textOf('theirs'), version: 'v9' });
    main.emit('document', { path, version: 'v9' });
    await vi.advanceTimersByTimeAsync(0);
    expect(lab.text).toBe(textOf('theirs'));
  });

  it('is a conflict when it has, and nothing is saved over it until the person says so', async () => {
    main.answers['document.save'] = ({ version }: { version: string }) =>
      version === 'v9'
        ? succeed({ path, text: textOf('mine'), version: 'v10' })
        : fail(failure('refused'));
    main.answers['document.open'] = () => succeed({ path, text: textOf('theirs'), version: 'v9' });
    lab.edit(setTitle('mine'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(lab.conflict).toBe(true);
    lab.edit(setTitle('mine still'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(main.argsOf('document.save')).toHaveLength(1);
    await lab.keepMine();
    expect(main.argsOf('document.save')[1]).toMatchObject({
      version: 'v9',
      text: textOf('mine still'),
    });
    expect(lab.conflict).toBe(false);
  });

  it('is no conflict when it was this window, whose save was answered too late', async () => {
    let inFile = { path, text: textOf('first'), version: 'v1' };
    let late = true;
    main.answers['document.save'] = ({ text, version }: { text: string; version: string }) => {
      if (version !== inFile.version) return fail(failure('refused'));
      inFile = { path, text, version: `v${Number(inFile.version.slice(1)) + 1}` };
      return late ? fail(failure('timeout')) : succeed(inFile);
    };
    main.answers['document.open'] = () => succeed(inFile);
    lab.edit(setTitle('mine'));
    await vi.advanceTimersByTimeAsync(1000);
    late = false;
    lab.edit(setTitle('mine still'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(lab.conflict).toBe(false);
    expect(inFile.text).toBe(textOf('mine still'));
    // The same, told by the file's own change.
    late = true;
    lab.edit(setTitle('more'));
    await vi.advanceTimersByTimeAsync(1000);
    late = false;
    lab.edit(setTitle('most'));
    main.emit('document', { path, version: inFile.version });
    await vi.advanceTimersByTimeAsync(1000);
    expect(lab.conflict).toBe(false);
    expect(inFile.text).toBe(textOf('most'));
  });
});

function outcome(revision: number) {
  return {
    lab: 'demo',
    up: true,
    revision,
    operations: 1,
    milliseconds: 12,
    realmEmpty: false,
    awaiting: null,
  };
}
