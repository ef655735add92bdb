/**
 * The CPU screen in real Chromium: the split of the notes drawn by hand from an empty ruler, made smaller for this machine,
 * brought up on it in control groups of the test's own, a process bound by dragging, and everything taken back.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chromiumPath } from '../harness/chromium-flags.ts';
import { HostMachine } from '../harness/host-machine.ts';
import { Person } from '../harness/person.ts';
import {
  centreOf,
  type Home,
  launchChromium,
  makeHome,
  openWindow,
  removeHome,
  type Started,
  startNetloom,
  takePicture,
} from '../harness/window.ts';
import { OwnGroups } from '../kernel/cpu-own-groups.ts';

const pictures = process.env['NETLOOM_PICTURES'];
const name = 'cores';

interface Section {
  readonly cores?: number;
  readonly groups: Readonly<Record<string, { cap?: number; groups?: Section['groups'] }>>;
}

describe.skipIf(process.getuid?.() !== 0)('the CPU screen', () => {
  let own: OwnGroups;
  let machine: HostMachine;
  let home: Home;
  let started: Started;
  let browser: Browser;
  let page: Page;
  let person: Person;
  let complaints: readonly string[];
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    own = new OwnGroups();
    machine = await HostMachine.open();
    machine.script('ip link set lo up');
    const [, , pid = ''] = machine.enter;
    const wrapper = path.join(machine.labs, 'chromium');
    writeFileSync(wrapper, `#!/bin/sh\nexec nsenter -t ${pid} -n -- ${chromiumPath} "$@"\n`);
    chmodSync(wrapper, 0o755);
    home = makeHome();
    browser = await launchChromium(wrapper);
    started = await startNetloom(home, machine.enter);
    ({ page, complaints } = await openWindow(browser, started.url));
    page.setDefaultTimeout(15_000);
    person = new Person(page);
    // By the same person, whose key the agent is told.
    const environment = Object.entries(home.environment)
      .filter(([key]) => key === 'HOME' || key.startsWith('XDG_'))
      .map(([key, value]) => `${key}=${value ?? ''}`);
    machine.look([
      ...['env', ...environment, `NETLOOM_CPU_CGROUP=${own.name}`],
      ...machine.command(['agent', 'start', '--realm', 'host']),
    ]);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await browser.close();
    await started.stop();
    removeHome(home);
    await machine.close();
    own[Symbol.dispose]();
  });

  const file = (): string =>
    path.join(home.environment['XDG_DATA_HOME'] ?? '', 'netloom', 'labs', `${name}.yaml`);
  const section = (): Section | undefined =>
    (parse(readFileSync(file(), 'utf8')) as { readonly cpu?: Section }).cpu;
  const caps = (): unknown => {
    const of = (groups: Section['groups']): unknown =>
      Object.fromEntries(
        Object.entries(groups).map(([group, { cap, groups: inner }]) => [
          group,
          inner === undefined ? cap : [cap, of(inner)],
        ]),
      );
    return of(section()?.groups ?? {});
  };
  const cell = (group: string): Locator =>
    page.locator(`[data-testid="cpu-cell"][data-group="${group}"]`);
  const free = (group: string): Locator =>
    page.locator(`[data-testid="cpu-free"][data-group="${group}"]`);
  const border = (group: string): Locator =>
    page.locator(`[data-testid="cpu-border"][data-group="${group}"]`);
  const bar = (label: string) =>
    page.locator('.lab-bar').getByRole('button', { name: label, exact: true });
  const picture = async (label: string): Promise<void> => {
    if (pictures !== undefined) await takePicture(page, pictures, `cpu-${label}`);
  };
  /** Pixels for one core, from what the machine's bar is wide. */
  const room = async (cores: number): Promise<number> => {
    const box = await cell('').boundingBox();
    return (box?.width ?? 0) / cores;
  };
  /** Draws a group of so many cores at the beginning of what is free. */
  const draw = async (parent: string, cores: number, of: number): Promise<void> => {
    const box = await free(parent).boundingBox();
    if (box === null) throw new Error('nothing is free');
    const y = box.y + box.height / 2;
    // Beside the border of what is before it.
    await page.mouse.move(box.x + 12, y);
    await page.mouse.down();
    const to = box.x + cores * (await room(of));
    await page.mouse.move((box.x + to) / 2, y, { steps: 3 });
    await page.mouse.move(to, y, { steps: 3 });
    await page.mouse.up();
  };
  const quota = (group: string): string | null => {
    const v1 = own.read('cpu', `${group}/cpu.cfs_quota_us`, name);
    return v1 ?? own.read('cpu', `${group}/cpu.max`, name)?.split(' ')[0] ?? null;
  };

  /** 120 of them, evenly. */
  const movesInTwoSeconds = async (move: (index: number) => Promise<void>): Promise<void> => {
    const begun = Date.now();
    for (let index = 1; index <= 120; index += 1) {
      await move(index);
      const due = begun + (index * 2000) / 120;
      if (due > Date.now()) await delay(due - Date.now());
    }
  };

  it('teaches on an empty ruler', async () => {
    await person.createLab(name);
    await page.keyboard.press('Escape');
    await page.getByRole('navigation').getByRole('button', { name: 'CPU split' }).click();
    await page.getByTestId('cpu-empty').waitFor();
    await person.fill('Cores', '16', page.getByTestId('root-form'));
    await expect.poll(() => cell('').getAttribute('aria-label')).toContain('16');
    await picture('empty');
  });

  it('lets the split of the notes be drawn, by pointer and by keyboard', async () => {
    await draw('', 8, 16);
    await cell('A').waitFor();
    await draw('', 4, 16);
    await cell('B').waitFor();
    await draw('', 2, 16);
    await cell('C').waitFor();
    // What is left, by keyboard.
    await free('').focus();
    await page.keyboard.press('Enter');
    await cell('D').waitFor();
    await cell('A').click();
    await draw('A', 3, 16);
    await cell('A/A1').waitFor();
    await page.keyboard.press('g');
    await cell('A/A2').waitFor();
    await expect.poll(() => border('A/A2').getAttribute('aria-valuenow')).toBe('5');
    await border('A/A2').focus();
    await page.keyboard.press('PageDown');
    await page.keyboard.press('PageDown');
    await page.keyboard.press('Enter');
    await expect.poll(() => border('A/A2').getAttribute('aria-valuenow')).toBe('3');
    await page.keyboard.press('g');
    await cell('A/A3').waitFor();
    await expect.poll(caps).toEqual({ A: [8, { A1: 3, A2: 3, A3: 2 }], B: 4, C: 2, D: 2 });
    expect(section()?.cores).toBe(16);
    const row = page.getByTestId('cpu-table').locator('tr[data-group="A/A1"]');
    expect(await row.innerText()).toMatch(/A1\s+3\s+3/);
    await picture('notes');
  });

  it('writes nothing while a border is held, and one edit when it is let go', async () => {
    const before = readFileSync(file(), 'utf8');
    const { mtimeMs } = statSync(file());
    const { x, y } = await centreOf(border('A'));
    const core = await room(16);
    await page.mouse.move(x, y);
    await page.mouse.down();
    await movesInTwoSeconds(async (move) => {
      await page.mouse.move(x + Math.sin(move / 9) * 3 * core, y);
      if (move !== 90) return;
      expect(await page.getByTestId('cpu-status').innerText()).toMatch(/A[\s\S]*B/);
      await picture('dragging');
    });
    await page.mouse.move(x - core, y);
    expect(statSync(file()).mtimeMs).toBe(mtimeMs);
    await page.mouse.up();
    await expect.poll(caps).toEqual({ A: [7, { A1: 3, A2: 3, A3: 2 }], B: 5, C: 2, D: 2 });
    // A has less than its groups have together now, and says so.
    await expect.poll(() => page.getByTestId('group-remarks').first().innerText()).toContain('1');
    await picture('overcommitted');
    await page.keyboard.press('Control+z');
    await expect.poll(() => readFileSync(file(), 'utf8')).toBe(before);
    // Escape forgets what a border was brought to.
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 2 * core, y, { steps: 4 });
    await expect.poll(() => border('A').getAttribute('aria-valuenow')).toBe('10');
    await page.keyboard.press('Escape');
    await page.mouse.up();
    expect(await border('A').getAttribute('aria-valuenow')).toBe('8');
  });

  it('moves a border alone with Alt, and scales all others with Shift', async () => {
    const core = await room(16);
    const drag = async (key: 'Alt' | 'Shift', by: number): Promise<void> => {
      const { x, y } = await centreOf(border('A'));
      await page.keyboard.down(key);
      await page.mouse.move(x, y);
      await page.mouse.down();
      await page.mouse.move(x + by * core, y, { steps: 4 });
      await page.mouse.up();
      await page.keyboard.up(key);
    };
    await drag('Alt', -2);
    await expect.poll(caps).toEqual({ A: [6, { A1: 3, A2: 3, A3: 2 }], B: 4, C: 2, D: 2 });
    await page.keyboard.press('Control+z');
    await expect.poll(caps).toEqual({ A: [8, { A1: 3, A2: 3, A3: 2 }], B: 4, C: 2, D: 2 });
    await drag('Shift', 4);
    await expect.poll(caps).toEqual({ A: [12, { A1: 3, A2: 3, A3: 2 }], B: 2, C: 1, D: 1 });
    await page.keyboard.press('Control+z');
    await expect.poll(caps).toEqual({ A: [8, { A1: 3, A2: 3, A3: 2 }], B: 4, C: 2, D: 2 });
  });

  it('splits, merges and renames, and takes each back', async () => {
    const whole = { A: [8, { A1: 3, A2: 3, A3: 2 }], B: 4, C: 2, D: 2 };
    await cell('B').click();
    await page.keyboard.press('s');
    await expect.poll(caps).toEqual({ A: [8, { A1: 3, A2: 3, A3: 2 }], B: 2, E: 2, C: 2, D: 2 });
    await page.keyboard.press('m');
    await expect.poll(caps).toEqual(whole);
    await person.fill('Name', 'batch', page.getByTestId('group-form'));
    await cell('batch').waitFor();
    await page.keyboard.press('Escape');
    await bar('Undo').click();
    await cell('B').waitFor();
    await expect.poll(caps).toEqual(whole);
  });

  it('has checks of groups in the form of checks: made, edited and refused with a word', async () => {
    const written = (): unknown =>
      (parse(readFileSync(file(), 'utf8')) as { readonly checks?: unknown }).checks;
    await page.getByRole('tab', { name: /^Checks/ }).click();
    const checks = page.getByTestId('checks');
    await checks.getByRole('button', { name: 'Add check' }).click();
    await checks.getByRole('combobox', { name: 'CPU group' }).fill('A/A1');
    await checks.getByRole('textbox', { name: 'Cores' }).fill('0');
    await checks.getByRole('button', { name: 'Save' }).click();
    await expect.poll(() => checks.getByRole('alert').innerText()).toContain('Cores: a number');
    await checks.getByRole('textbox', { name: 'Cores' }).fill('3');
    await checks.getByRole('button', { name: 'Save' }).click();
    await expect.poll(written).toEqual([{ check: 'cpu', group: 'A/A1', cores: 3 }]);
    await checks.getByRole('button', { name: 'Edit check 1' }).click();
    await checks.getByRole('textbox', { name: 'Tolerance (%)' }).fill('20');
    await checks.getByRole('textbox', { name: 'Kept busy beside it' }).fill('A/A2, B');
    await picture('check');
    await checks.getByRole('button', { name: 'Save' }).click();
    const whole = { check: 'cpu', group: 'A/A1', cores: 3, tolerance: 20, against: ['A/A2', 'B'] };
    await expect.poll(written).toEqual([whole]);
    await checks.getByRole('button', { name: 'Edit check 1' }).click();
    await checks.getByRole('combobox', { name: 'CPU group' }).fill('nowhere');
    await checks.getByRole('button', { name: 'Save' }).click();
    await expect.poll(() => checks.getByRole('alert').innerText()).toContain('nowhere');
    await checks.getByRole('button', { name: 'Cancel' }).click();
    await checks.getByRole('button', { name: 'Remove check 1' }).click();
    await expect.poll(written).toBeUndefined();
  });

  it('refuses it on fewer cores, and makes it smaller when that is asked for', async () => {
    await page.getByTestId('realm-badge').click();
    await page.getByRole('menuitemradio', { name: /^host/ }).click();
    await bar('Plan').click();
    await expect
      .poll(() => page.getByTestId('plan').innerText())
      .toContain(String(availableParallelism()));
    const cores = availableParallelism();
    const refused = await page.getByTestId('plan').innerText();
    expect(refused).toContain(`The split is for 16 CPUs, and this machine has ${cores}.`);
    expect(refused).toContain(`Choose “Scale to ${cores} CPU`);
    expect(refused).not.toContain('--scale');
    await picture('refused');
    await page.getByTestId('plan-scale').click();
    const part = availableParallelism() / 16;
    await expect.poll(() => section()?.cores).toBe(availableParallelism());
    await expect.poll(caps).toEqual({
      A: [8 * part, { A1: 3 * part, A2: 3 * part, A3: 2 * part }],
      ...{ B: 4 * part, C: 2 * part, D: 2 * part },
    });
    await expect.poll(() => cell('A').getAttribute('class')).toContain('add');
    await picture('planned');
  });

  it('brings it up on the machine', async () => {
    await bar('Apply').click();
    const part = availableParallelism() / 16;
    await expect.poll(() => quota('A'), { timeout: 60_000 }).toBe(String(800_000 * part));
    await expect.poll(() => page.getByTestId('plan-state').innerText()).toMatch(/in force/i);
    expect(quota('A/A1')).toBe(String(300_000 * part));
    expect(quota('D')).toBe(String(200_000 * part));
    await cell('A').getByTestId('cell-use').waitFor();
  });

  /** Cores that a group used over some seconds, by the kernel's own count. */
  const measured = async (group: string, during: () => Promise<void>): Promise<number> => {
    const microseconds = (): number => {
      const stat = own.read('cpu', `${group}/cpu.stat`, name) ?? '';
      const usage = /^usage_usec (?<usage>\d+)/m.exec(stat)?.groups?.['usage'];
      if (usage !== undefined) return Number(usage);
      return Number(own.read('cpuacct', `${group}/cpuacct.usage`, name)) / 1000;
    };
    const [before, begun] = [microseconds(), performance.now()];
    await during();
    return (microseconds() - before) / 1000 / (performance.now() - begun);
  };
  const useOf = async (group: string): Promise<number> =>
    Number(await cell(group).getByTestId('cell-use').innerText());
  const pidIn = (): string => machine.look(['pgrep', '-f', '-o', 'netloom-busy-loop']).trim();

  it('binds a process that is dragged onto a group, and shows that it stops at the cap', async () => {
    const [program = '', ...words] = machine.enter;
    children.push(
      spawn(program, [...words, 'nice', 'sh', '-c', ': netloom-busy-loop; while :; do :; done'], {
        stdio: 'ignore',
      }),
    );
    const search = page.getByRole('searchbox', { name: 'Find a process' });
    await search.fill('netloom-busy-loop');
    const row = page.locator(`[data-testid="cpu-process"][data-pid="${pidIn()}"]`);
    await row.waitFor();
    await row.dragTo(cell('A/A1'));
    await expect
      .poll(() => own.read('cpu', 'A/A1/cgroup.procs', name)?.split('\n').length ?? 0)
      .toBeGreaterThan(0);
    const cap = (3 * availableParallelism()) / 16;
    const conditions = () => cell('A/A1').locator('[data-condition="at-cap"]').count();
    await expect.poll(conditions, { timeout: 60_000 }).toBe(1);
    await search.fill('');
    await expect.poll(() => useOf('A/A1')).toBeLessThan(cap * 1.2);
    const use = await measured('A/A1', () => page.waitForTimeout(2000));
    expect(use).toBeGreaterThan(0);
    expect(use).toBeLessThan(cap * 1.1);
    await cell('A/A1').click();
    await picture('live');
  });

  for (const theme of ['light', 'dark'] as const) {
    for (const [language, locale, title] of [
      ['english', 'en-US', 'CPU split'],
      ['chinese', 'zh-CN', 'CPU 划分'],
    ] as const) {
      it(`says the same in ${language} and ${theme}`, async () => {
        const other = await openWindow(browser, started.url, { colorScheme: theme, locale });
        try {
          const rail = other.page.getByRole('navigation').first();
          await rail.getByRole('button', { name: title }).click();
          const group = other.page.locator('[data-testid="cpu-cell"][data-group="A/A1"]');
          await group.getByTestId('cell-use').waitFor();
          await group.click();
          // Long enough for a line to be seen in it.
          await other.page.waitForTimeout(pictures === undefined ? 0 : 6000);
          const keep = async (label: string): Promise<void> => {
            if (pictures === undefined) return;
            await takePicture(other.page, pictures, `cpu-${label}-${theme}-${language}`);
          };
          await keep('screen');
          await other.page.getByRole('tab').nth(1).click();
          await other.page.getByTestId('group-live').waitFor();
          await keep('live');
          await other.page.getByRole('tab').nth(0).click();
          await group.click({ button: 'right' });
          await other.page.getByRole('menu').waitFor();
          await keep('menu');
          await other.page.keyboard.press('Escape');
          expect(other.complaints).toEqual([]);
        } finally {
          await other.context.close();
        }
      });
    }
  }

  it('gives a running group another cap, and takes it back', async () => {
    const before = quota('A/A1');
    const other = quota('A/A2');
    const cap = (3 * availableParallelism()) / 16;
    const cpuBase = own.hierarchies.find(({ controllers }) => controllers.includes('cpu'))?.base;
    const writes: string[] = [];
    const watchers = ['A/A1', 'A/A2', 'A', 'B'].map((group) =>
      watch(path.join(cpuBase ?? '', `netloom.${name}`, group), (event, file) => {
        if (event === 'change') writes.push(`${group}/${file ?? ''}`);
      }),
    );
    const { x, y } = await centreOf(border('A/A1'));
    const use = await measured('A/A1', async () => {
      await page.mouse.move(x, y);
      await page.mouse.down();
      await movesInTwoSeconds((move) => page.mouse.move(x + Math.sin(move / 9) * 60, y));
    });
    // Writing a quota fills it up: with a write a move it would have run free.
    expect(use).toBeLessThan(cap * 1.1);
    await page.mouse.move(x + 80, y);
    await page.mouse.up();
    await expect
      .poll(() => Number(section()?.groups['A']?.groups?.['A1']?.cap))
      .toBeGreaterThan(cap);
    expect(writes).toEqual([]);
    // Nothing of it is in the kernel before it is applied.
    expect(quota('A/A1')).toBe(before);
    await bar('Plan').click();
    await expect.poll(() => bar('Apply').isEnabled()).toBe(true);
    const steps = await page.getByTestId('plan-step').allInnerTexts();
    expect(steps.filter((step) => /A\/A[12]/.test(step))).toHaveLength(2);
    expect(steps).toHaveLength(2);
    await page.getByRole('button', { name: 'Commands', exact: true }).click();
    const files = (await page.getByTestId('transcript').innerText())
      .split('\n')
      .flatMap((line) => /> (?<file>\S+)/.exec(line)?.groups?.['file'] ?? []);
    // Each changed file once.
    expect(files).toHaveLength(2);
    expect(new Set(files).size).toBe(2);
    await page.getByRole('button', { name: 'Diff', exact: true }).click();
    await bar('Apply').click();
    await expect.poll(() => quota('A/A1'), { timeout: 60_000 }).not.toBe(before);
    await expect.poll(() => page.getByTestId('plan-state').innerText()).toMatch(/in force/i);
    await expect.poll(() => writes.length).toBeGreaterThan(1);
    for (const watcher of watchers) watcher.close();
    expect(writes.map((file) => file.replace(/\/[^/]*$/, '')).sort()).toEqual(['A/A1', 'A/A2']);
    await bar('Undo').click();
    await expect.poll(() => bar('Apply').isEnabled()).toBe(true);
    await bar('Apply').click();
    await expect.poll(() => quota('A/A1'), { timeout: 60_000 }).toBe(before);
    expect(quota('A/A2')).toBe(other);
  });

  it('says that limits were changed from outside', async () => {
    await expect.poll(() => page.getByTestId('plan-state').innerText()).toMatch(/in force/i);
    const version = own.read('cpu', 'B/cpu.max', name) === null ? 1 : 2;
    own.write('cpu', version === 1 ? 'B/cpu.cfs_quota_us' : 'B/cpu.max', '20000', name);
    await expect
      .poll(() => page.getByTestId('cpu-conditions').innerText())
      .toContain('Somebody else has changed its limits');
    await picture('changed-outside');
  });

  it('leaves nothing behind', async () => {
    await bar('Take down').click();
    await expect.poll(() => bar('Apply').isEnabled()).toBe(true);
    await bar('Apply').click();
    for (const { base } of own.hierarchies) {
      await expect
        .poll(() => existsSync(path.join(base, `netloom.${name}`)), { timeout: 60_000 })
        .toBe(false);
    }
    expect(complaints).toEqual([]);
  });
});
