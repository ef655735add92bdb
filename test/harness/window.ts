/**
 * Netloom as a person opens it: `npm start` of this checkout with directories of its own, and real Chromium in front
 * of it. Everything a test does goes through clicks, keys and drags; what the kernel has is read beside it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core';
import { chromiumFlags, chromiumPath } from './chromium-flags.ts';
import type { RunInRealm } from './network-state.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** `program` is Chromium, or a script that runs it somewhere else. */
export function launchChromium(program: string = chromiumPath): Promise<Browser> {
  return chromium.launch({ executablePath: program, args: [...chromiumFlags] });
}

/** The gallery's labs, in the order in which they are shown. */
export const galleryNames: readonly string[] = readFileSync(
  path.resolve(import.meta.dirname, '../../assets/labs/order.txt'),
  'utf8',
)
  .trim()
  .split(/\s+/);

export interface Home {
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Directories of a person who has never opened Netloom. */
export function makeHome(): Home {
  const directory = mkdtempSync(path.join(tmpdir(), 'netloom-ui-'));
  const make = (name: string): string => {
    const made = path.join(directory, name);
    mkdirSync(made, { mode: 0o700 });
    return made;
  };
  return {
    directory,
    environment: {
      ...process.env,
      HOME: make('home'),
      XDG_RUNTIME_DIR: make('run'),
      XDG_STATE_HOME: make('state'),
      XDG_DATA_HOME: make('data'),
      XDG_CONFIG_HOME: make('config'),
      NETLOOM_SHELL: 'browser',
    },
  };
}

export interface Started {
  readonly url: string;
  readonly process: ChildProcess;
  /** Milliseconds from the start of `npm start` to the ready line. */
  readonly milliseconds: number;
  readonly stop: () => Promise<void>;
}

/** `npm start -- --no-open`, up to its ready line; `enter` are words that run it somewhere else. */
export async function startNetloom(home: Home, enter: readonly string[] = []): Promise<Started> {
  const begun = performance.now();
  const there = enter.length === 0 ? [] : [...enter, 'env', `--chdir=${checkout}`];
  const [program = '', ...args] = [...there, 'npm', 'start', '--silent', '--', '--no-open'];
  const child = spawn(program, args, {
    cwd: checkout,
    env: home.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    // npm does not always hand signals on: the whole group is ended.
    detached: true,
  });
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      const match = /Netloom is ready at (?<url>http:\S+)/.exec(output);
      if (match?.groups?.['url'] !== undefined) resolve(match.groups['url']);
    });
    child.once('close', () => reject(new Error(`npm start ended: ${errors}`)));
  });
  return {
    url,
    process: child,
    milliseconds: performance.now() - begun,
    stop: async () => {
      if (child.exitCode === null && child.pid !== undefined) {
        try {
          process.kill(-child.pid, 'SIGTERM');
        } catch {
          // It has ended by itself.
        }
      }
      await ended;
    },
  };
}

/** Pid of the keeper of a realm, from its record; throws when there is none. */
export function keeperOf(home: Home, realm: string): number {
  const runtime = path.join(home.environment['XDG_RUNTIME_DIR'] ?? '', 'netloom');
  for (const entry of readdirSync(runtime)) {
    try {
      const record = JSON.parse(readFileSync(path.join(runtime, entry, 'keeper.json'), 'utf8')) as {
        readonly realm: string;
        readonly pid: number;
      };
      if (record.realm === realm) return record.pid;
    } catch {
      // Another file, or a realm that is just being made.
    }
  }
  throw new Error(`${realm} has no keeper`);
}

/** Looks into a realm the way whoever doubts a picture would. */
export function lookInto(keeper: number): RunInRealm {
  return (command) => {
    const result = spawnSync(
      'nsenter',
      ['-t', String(keeper), '-U', '--preserve-credentials', '-m', '-n', '-p', '--', ...command],
      { cwd: '/', encoding: 'utf8', maxBuffer: 1 << 28, timeout: 60_000 },
    );
    if (result.status !== 0) throw new Error(`${command.slice(0, 4).join(' ')}: ${result.stderr}`);
    return result.stdout;
  };
}

/** Ends every realm of that home and removes its directories. */
export function removeHome(home: Home): void {
  const runtime = path.join(home.environment['XDG_RUNTIME_DIR'] ?? '', 'netloom');
  let entries: string[] = [];
  try {
    entries = readdirSync(runtime);
  } catch {
    // Nothing was ever started.
  }
  for (const entry of entries) {
    try {
      const { pid } = JSON.parse(
        readFileSync(path.join(runtime, entry, 'keeper.json'), 'utf8'),
      ) as {
        readonly pid: number;
      };
      process.kill(pid, 'SIGKILL');
    } catch {
      // Not a realm, or one that has ended.
    }
  }
  rmSync(home.directory, { recursive: true, force: true });
}

export interface OpenWindow {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page's console said that it should not have. */
  readonly complaints: readonly string[];
}

export async function openWindow(
  browser: Browser,
  url: string,
  options: { readonly colorScheme?: 'light' | 'dark'; readonly locale?: string } = {},
): Promise<OpenWindow> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    colorScheme: options.colorScheme ?? (process.env['NETLOOM_DARK'] === '1' ? 'dark' : 'light'),
    locale: options.locale ?? 'en-US',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(url);
  return { context, page, complaints };
}

export async function centreOf(
  locator: Locator,
): Promise<{ readonly x: number; readonly y: number }> {
  const box = await locator.boundingBox();
  if (box === null) throw new Error('it is not on the screen');
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** What names this machine: its kernel and the paths of its files. */
const places = '[data-testid="kernel"], [data-testid="lab-path"], .library td.wide';

/** A picture for a person to look at, without what names this machine. The page's policy allows no style of ours. */
export async function takePicture(page: Page, directory: string, name: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const show = (visibility: string): Promise<void> =>
    page.evaluate(
      ([selector, value]) => {
        for (const element of document.querySelectorAll<HTMLElement>(selector)) {
          element.style.visibility = value;
        }
      },
      [places, visibility] as const,
    );
  await show('hidden');
  await page.screenshot({ path: path.join(directory, `${name}.png`) });
  await show('');
}
