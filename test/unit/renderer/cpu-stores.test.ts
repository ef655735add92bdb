import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextTick } from 'vue';
import { succeed } from '../../../agent/api/index.ts';
import { parseDocument } from '../../../agent/lab/index.ts';
import { useCpuActions } from '../../../renderer/cpu/cpu-actions.ts';
import { useCpuLive } from '../../../renderer/cpu/cpu-live.ts';
import { useCpu } from '../../../renderer/cpu/cpu-store.ts';
import { useRealms } from '../../../renderer/inventory/realm-store.ts';
import { useLab } from '../../../renderer/topology/lab-store.ts';
import { documentText, notes } from './cpu-splits.ts';
import { type FakeMain, openWindow, overviewOf } from './fake-window.ts';

const realm = 'sandbox:demo';
let main: FakeMain;
let lab: ReturnType<typeof useLab>;

/** A main that reads documents as the real one does, and says that the lab is up. */
beforeEach(async () => {
  main = openWindow();
  main.answers['document.validate'] = ({ text }: { text: string }) =>
    succeed({ document: parseDocument(text).document, problems: [], advice: [] });
  main.answers['document.save'] = ({ text }: { text: string }) =>
    succeed({ path: '/labs/demo.yaml', text, version: 'v2' });
  main.answers['lab.overview'] = () => succeed(overviewOf('up'));
  lab = useLab();
  const text = notes.replace('name: cores', 'name: demo');
  await lab.openDocument({ path: '/labs/demo.yaml', text, version: 'v1' });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

describe('the split in the window', () => {
  it('shows what a held border would come to, and leaves the document alone', () => {
    const cpu = useCpu();
    const before = lab.text;
    cpu.draft = [{ kind: 'set-cpu-group', group: 'A', setting: 'cap', value: 6 }];
    expect(cpu.groupOf('A')?.cap).toBe(6);
    expect(cpu.figures.get('A')?.overcommit).toBe(2);
    expect(cpu.writtenFigures.get('A')?.overcommit).toBe(0);
    expect([lab.text, lab.past]).toEqual([before, []]);
  });

  it('is the machine with nothing in it where the document has none', async () => {
    const cpu = useCpu();
    lab.change(documentText('').replace('name: cores', 'name: demo'));
    await settle();
    expect([cpu.has, cpu.split.root.groups]).toEqual([false, []]);
    expect(cpu.icicle.cells.map(({ kind }) => kind)).toEqual(['group', 'free']);
  });

  it('is scaled in the document in one step that undo takes back, with its form', async () => {
    const before = lab.text;
    useCpuActions().scaleTo(4);
    await settle();
    expect(lab.text).toBe(
      before
        .replace('cores: 16', 'cores: 4')
        .replace('cap: 8 #', 'cap: 2 #')
        .replaceAll('{ cap: 2 }', '{ cap: 0.5 }')
        .replaceAll('{ cap: 3 }', '{ cap: 0.75 }')
        .replace('{ cap: 4 }', '{ cap: 1 }'),
    );
    await lab.undo();
    expect(lab.text).toBe(before);
  });

  it('has nothing selected that the document has not', () => {
    const cpu = useCpu();
    cpu.select('A/A1');
    expect(cpu.selected).toBe('A/A1');
    cpu.select('gone');
    expect(cpu.selected).toBe('');
    lab.selection = { kind: 'node', node: 'h1' };
    expect(cpu.selected).toBeNull();
  });
});

describe('what groups use', () => {
  const group = (use: number | null) => ({
    ...{ group: '', cap: null, weight: 100, idle: false, pins: '', cpus: '0-1', guaranteed: 2 },
    ...{ use, throttled: 0, throttledTime: 0, pressure: null, processes: 0 },
    ...{ conditions: [], heldBy: null },
  });
  const sample = (time: number, use: number | null) => ({
    ...{ time, since: 500, groups: [group(use)], processes: [] },
    cpus: [0, 1].map((cpu) => ({ cpu, core: cpu, socket: 0, node: 0, use: 0.75 })),
  });

  it('is sampled only while somebody looks, and what others use is the rest', async () => {
    let say: (value: unknown) => void = () => undefined;
    main.answers['cpu.watch'] = (_args, progress) => {
      say = progress;
      return new Promise(() => undefined);
    };
    const live = useCpuLive();
    const running = {
      ...{ realm, state: 'running', keeperPid: null, agentPid: null },
      socket: null,
    };
    useRealms().watch(realm);
    main.emit('realm', { ...running, outside: 'closed', labs: [], agent: null });
    await settle();
    expect(main.argsOf('cpu.watch')).toEqual([]);
    live.lookers += 1;
    await nextTick();
    expect(main.argsOf('cpu.watch')).toEqual([{ realm, lab: 'demo', interval: 500 }]);
    say(sample(0, null));
    say(sample(500, 1));
    expect(live.of('')?.use).toBe(1);
    expect(live.historyOf('')).toEqual([{ time: 500, use: 1, cap: null }]);
    expect(live.othersUse).toBe(0.5);
    const late = say;
    live.lookers -= 1;
    await nextTick();
    expect(live.sample).toBeNull();
    // What comes after that is nobody's any more.
    late(sample(1000, 2));
    expect(live.sample).toBeNull();
  });
});
