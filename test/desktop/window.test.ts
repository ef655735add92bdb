import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  callBridge,
  type Desktop,
  openDesktop,
  platform,
  removeDesktopHome,
  startToEnd,
} from '../harness/electron-desktop.ts';
import { isAlive } from '../harness/netloom.ts';
import { type Home, keeperOf, makeHome } from '../harness/window.ts';

process.stderr.write(`desktop tests run on: ${platform.name} (${platform.reason})\n`);

let home: Home;
const opened: Desktop[] = [];

beforeEach(() => {
  home = makeHome();
});
afterEach(async () => {
  for (const desktop of opened.splice(0)) await desktop.kill();
  await removeDesktopHome(home);
});

async function open(locale?: string): Promise<Desktop> {
  const desktop = await openDesktop({
    environment: home.environment,
    ...(locale === undefined ? {} : { locale }),
  });
  opened.push(desktop);
  return desktop;
}

function writeSettings(settings: Readonly<Record<string, unknown>>): void {
  const directory = path.join(home.environment['XDG_CONFIG_HOME'] ?? '', 'netloom');
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, 'settings.json'), JSON.stringify(settings));
}

interface Asked {
  readonly message: string;
  readonly detail: string;
  readonly buttons: readonly string[];
}

/** From now on every question gets this answer; the questions are kept. */
function answerQuestions(desktop: Desktop, response: number): Promise<void> {
  return desktop.evaluate(({ dialog }, given) => {
    const asked: unknown[] = [];
    Object.assign(globalThis, { asked });
    const answer = (_window: unknown, options: unknown): Promise<unknown> => {
      asked.push(options);
      return Promise.resolve({ response: given, checkboxChecked: false });
    };
    Object.assign(dialog, { showMessageBox: answer });
  }, response);
}

function questions(desktop: Desktop): Promise<readonly Asked[]> {
  return desktop.evaluate(() =>
    (globalThis as unknown as { readonly asked: readonly Asked[] }).asked.map(
      ({ message, detail, buttons }) => ({ message, detail, buttons }),
    ),
  );
}

/** As a person who clicks the window's cross. */
function closeWindow(desktop: Desktop): Promise<void> {
  return desktop.evaluate(({ BrowserWindow }) => {
    setTimeout(() => BrowserWindow.getAllWindows()[0]?.close(), 10);
  });
}

async function bringUp(desktop: Desktop, lab: string): Promise<number> {
  const { value } = await callBridge(desktop.page, 'library.openGallery', { name: lab });
  const { path: file, text } = value as { readonly path: string; readonly text: string };
  const planned = await callBridge(desktop.page, 'lab.plan', {
    lab,
    target: { kind: 'document', path: file, text, replace: false },
  });
  const { id } = planned.value as { readonly id: string };
  const applied = await callBridge(desktop.page, 'lab.apply', { lab, plan: id });
  expect(applied.kind).toBe('result');
  return keeperOf(home, `sandbox:${lab}`);
}

describe(`the desktop shell on ${platform.name}`, () => {
  it('shows the built renderer, which reaches the program through preload and IPC', async () => {
    const desktop = await open();
    await desktop.page.getByRole('heading', { name: 'Gallery' }).waitFor();
    expect(await desktop.page.title()).toBe('Netloom');
    const answer = await callBridge(desktop.page, 'app.info', {});
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      readonly version: string;
    };
    expect(answer.value).toMatchObject({ shell: 'desktop', version });
    expect(desktop.errors()).not.toContain('netloom:');
  });

  it('keeps the bridge working after a reload, with one window of the host', async () => {
    const desktop = await open();
    for (let round = 0; round < 2; round += 1) {
      const loaded = desktop.page.waitForEvent('load');
      await desktop.evaluate(({ BrowserWindow }) => {
        BrowserWindow.getAllWindows()[0]?.webContents.reload();
      });
      await loaded;
      expect((await callBridge(desktop.page, 'app.info', {})).kind).toBe('result');
    }
  });

  it('keeps the person’s edits that were made just before closing', async () => {
    const desktop = await open();
    const settings = { theme: 'dark', language: 'zh', lastDocument: null, layout: {} };
    await desktop.page.getByRole('heading', { name: 'Gallery' }).waitFor();
    // As the page's own timers do it: 600 ms after the edit.
    await desktop.page.evaluate((value) => {
      setTimeout(() => {
        const args = { settings: { ...value, view: 'library' } };
        const call = { kind: 'call', id: 77, call: 'settings.write', args };
        window.netloom?.send(JSON.stringify(call));
      }, 600);
    }, settings);
    await closeWindow(desktop);
    expect(await desktop.ended).toBe(0);
    const file = path.join(home.environment['XDG_CONFIG_HOME'] ?? '', 'netloom/settings.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject(settings);
  });

  it('closes without a question while no lab is up, and remembers its bounds', async () => {
    const first = await open();
    await answerQuestions(first, 2);
    const bounds = { x: 60, y: 70, width: 1100, height: 720 };
    await first.evaluate(({ BrowserWindow }, wanted) => {
      BrowserWindow.getAllWindows()[0]?.setBounds(wanted);
    }, bounds);
    await closeWindow(first);
    expect(await first.ended).toBe(0);
    const second = await open();
    const shown = await second.evaluate(({ BrowserWindow }) =>
      BrowserWindow.getAllWindows()[0]?.getBounds(),
    );
    expect(shown).toEqual(bounds);
  });

  it.each([
    ['spoilt', '{"x":'],
    ['on a screen that is gone', '{"x":90000,"y":90000,"width":1100,"height":720}'],
  ])('opens on the screen when the remembered bounds are %s', async (_what, text) => {
    const profile = path.join(home.environment['XDG_STATE_HOME'] ?? '', 'netloom/desktop');
    mkdirSync(profile, { recursive: true, mode: 0o700 });
    writeFileSync(path.join(profile, 'window.json'), text);
    const desktop = await open();
    const shown = await desktop.evaluate(({ BrowserWindow }) =>
      BrowserWindow.getAllWindows()[0]?.getBounds(),
    );
    expect(shown?.x).toBeLessThan(10_000);
    expect(shown?.width).toBeGreaterThanOrEqual(960);
  });

  it('asks about labs that are up, stays on Cancel, and lets them run on Keep running', async () => {
    const desktop = await open();
    const keeper = await bringUp(desktop, 'two-namespaces');
    await answerQuestions(desktop, 2);
    await closeWindow(desktop);
    await expect
      .poll(() => questions(desktop))
      .toEqual([
        {
          message: 'Keep labs running?',
          detail: '1 lab is up: two-namespaces.',
          buttons: ['Keep running', 'Take down', 'Cancel'],
        },
      ]);
    expect((await callBridge(desktop.page, 'app.info', {})).kind).toBe('result');
    await answerQuestions(desktop, 0);
    await closeWindow(desktop);
    expect(await desktop.ended).toBe(0);
    expect(isAlive(keeper)).toBe(true);
  });

  it('takes labs down on the person’s word, and asks in their language', async () => {
    writeSettings({ language: 'zh' });
    const desktop = await open();
    const keeper = await bringUp(desktop, 'two-namespaces');
    await answerQuestions(desktop, 2);
    await closeWindow(desktop);
    await expect
      .poll(() => questions(desktop))
      .toEqual([
        {
          message: '让实验继续运行？',
          detail: '有 1 个实验正在运行：two-namespaces。',
          buttons: ['保持运行', '停止实验', '取消'],
        },
      ]);
    await answerQuestions(desktop, 1);
    await closeWindow(desktop);
    expect(await desktop.ended).toBe(0);
    await expect.poll(() => isAlive(keeper)).toBe(false);
  });

  it('quits without another question when the page says so', async () => {
    const desktop = await open();
    const keeper = await bringUp(desktop, 'two-namespaces');
    await answerQuestions(desktop, 2);
    await callBridge(desktop.page, 'app.quit', { labs: 'keep' }).catch(() => undefined);
    expect(await desktop.ended).toBe(0);
    expect(isAlive(keeper)).toBe(true);
  });

  it('speaks Chinese where the system does', async () => {
    const desktop = await open('zh-CN');
    await desktop.page.getByRole('heading', { name: '示例' }).waitFor();
    const label = await desktop.evaluate(({ Menu }) => {
      const menu = Menu.getApplicationMenu() as unknown as {
        readonly items?: readonly { readonly label: string }[];
        readonly template?: readonly { readonly label: string }[];
      };
      return (menu.items ?? menu.template)?.[0]?.label;
    });
    expect(label).toBe('文件');
  });

  it('has a dark background before the page comes, if the person chose dark', async () => {
    writeSettings({ theme: 'dark' });
    const desktop = await open();
    const theme = await desktop.page.evaluate(() => document.documentElement.dataset['theme']);
    expect(theme).toBe('dark');
    const colour = await desktop.evaluate(({ BrowserWindow }) => {
      const window = BrowserWindow.getAllWindows()[0] as unknown as {
        readonly options?: { readonly backgroundColor: string };
        getBackgroundColor?(): string;
      };
      return window.getBackgroundColor?.() ?? window.options?.backgroundColor;
    });
    expect(colour?.toLowerCase()).toBe('#14181d');
  });

  it('opens once: a second start brings the window to the front', async () => {
    const desktop = await open();
    await desktop.evaluate(({ BrowserWindow }) => {
      const window = BrowserWindow.getAllWindows()[0];
      window?.on('focus', () => Object.assign(globalThis, { focused: true }));
      window?.minimize();
    });
    const second = await startToEnd({ environment: home.environment });
    expect(second).toMatchObject({ code: 0 });
    expect(second.errors).toContain('Netloom is open already');
    await expect
      .poll(() =>
        desktop.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.isMinimized()),
      )
      .toBe(false);
    expect((await callBridge(desktop.page, 'app.info', {})).kind).toBe('result');
  });

  it('says so and quits when the window’s process ends; labs keep running', async () => {
    const desktop = await open();
    const keeper = await bringUp(desktop, 'two-namespaces');
    const before = desktop.errors();
    await desktop.evaluate(({ BrowserWindow, dialog }) => {
      Object.assign(dialog, {
        showErrorBox: (title: string, content: string) =>
          process.stderr.write(`box: ${title}: ${content}\n`),
      });
      setTimeout(() => BrowserWindow.getAllWindows()[0]?.webContents.forcefullyCrashRenderer(), 10);
    });
    expect(await desktop.ended).toBe(0);
    expect(desktop.errors().slice(before.length)).toMatch(
      /box: Netloom’s window has ended: .*Labs keep running/,
    );
    expect(isAlive(keeper)).toBe(true);
  });

  it('ends on SIGTERM without a question', async () => {
    const desktop = await open();
    await bringUp(desktop, 'two-namespaces');
    await desktop.evaluate(() => {
      setTimeout(() => process.kill(process.pid, 'SIGTERM'), 10);
    });
    expect(await desktop.ended).toBe(0);
  });

  it('says why it cannot start', async () => {
    const state = path.join(home.environment['XDG_STATE_HOME'] ?? '', 'netloom');
    writeFileSync(state, 'a file in the way');
    const { code, errors } = await startToEnd({ environment: home.environment });
    expect(code).toBe(1);
    expect(errors).toContain(`error: desktop shell: ${state}: It is not a directory.`);
  });
});
