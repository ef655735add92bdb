/**
 * The desktop shell as a test has it: on real Electron where its binary is, else on the stand-in (electron-stand-in.ts).
 * The same specs run on both; which one it is, is printed.
 */
import { fork } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { _electron, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import type { PreloadBridge } from '../../renderer/bridge/electron-carrier.ts';
import { type Home, removeHome } from './window.ts';

export const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export type ElectronModule = typeof Electron.CrossProcessExports;

export interface Desktop {
  /** The application's window. */
  readonly page: Page;
  /** Runs a function in the main process, with the module `electron`; it takes nothing else from around it. */
  evaluate<T, A = undefined>(
    run: (electron: ElectronModule, argument: A) => T | Promise<T>,
    argument?: A,
  ): Promise<T>;
  /** What the main process has written to stderr so far. */
  errors(): string;
  /** Its exit code, when it has ended. */
  readonly ended: Promise<number | null>;
  /** Ends it at once; labs keep running. */
  kill(): Promise<void>;
}

export interface DesktopOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly locale?: string;
}

/** Another root than the checkout, to see the tests fail: a copy of it with a guard broken. */
const root = process.env['NETLOOM_DESKTOP_ROOT'] ?? checkout;

function electronBinary(): { readonly path: string } | { readonly missing: string } {
  const directory = path.join(checkout, 'node_modules/electron');
  const name = path.join(directory, 'path.txt');
  const distribution = process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? path.join(directory, 'dist');
  const binary = path.join(
    distribution,
    existsSync(name) ? readFileSync(name, 'utf8').trim() : 'electron',
  );
  if (!existsSync(binary)) return { missing: 'Electron’s binary is not here' };
  if ((process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY'] ?? '') === '') {
    return { missing: 'there is no display for Electron' };
  }
  return { path: binary };
}

const found = electronBinary();

/** What these tests run on, and why. */
export const platform: { readonly name: 'electron' | 'stand-in'; readonly reason: string } =
  'path' in found
    ? { name: 'electron', reason: found.path }
    : { name: 'stand-in', reason: `${found.missing}; Chromium drives a stand-in for its API` };

/** A URL of the application as a page writes it. */
export function inPage(url: string): string {
  return platform.name === 'electron'
    ? url
    : url.replace(/^app:\/\/(?<host>[^/]*)/, 'https://$<host>.app.invalid');
}

async function openElectron(options: DesktopOptions, binary: string): Promise<Desktop> {
  const application = await _electron.launch({
    executablePath: binary,
    args: [
      root,
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      `--lang=${options.locale ?? 'en-US'}`,
    ],
    env: Object.fromEntries(
      Object.entries(options.environment).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value]],
      ),
    ),
  });
  const child = application.process();
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return {
    page: await application.firstWindow(),
    evaluate: (run, argument) => application.evaluate(run as never, argument as never),
    errors: () => errors,
    ended,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

let standIn: Promise<string> | null = null;

/** Builds the stand-in to one file that Node can load in place of `electron`. */
function buildStandIn(): Promise<string> {
  standIn ??= (async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'netloom-stand-in-'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    const environment = process.env['NODE_ENV'];
    await build({
      configFile: false,
      root: checkout,
      logLevel: 'error',
      publicDir: false,
      ssr: { target: 'node', noExternal: true },
      build: {
        ssr: path.join(checkout, 'test/harness/electron-stand-in.ts'),
        outDir: directory,
        emptyOutDir: false,
        minify: false,
        target: 'node20',
        rolldownOptions: { output: { entryFileNames: 'electron.mjs', codeSplitting: false } },
      },
    });
    if (environment !== undefined) process.env['NODE_ENV'] = environment;
    return path.join(directory, 'electron.mjs');
  })();
  return standIn;
}

const asModule = (text: string): string => `data:text/javascript,${encodeURIComponent(text)}`;

/** For `node --import`: the module `electron` is that file. */
function replaceElectron(file: string): string {
  const hooks = `export const resolve = (name, context, next) =>
    name === 'electron'
      ? { url: ${JSON.stringify(pathToFileURL(file).href)}, shortCircuit: true }
      : next(name, context);`;
  return asModule(
    `import { register } from 'node:module'; register(${JSON.stringify(asModule(hooks))});`,
  );
}

/** Starts the stand-in's process; resolves when its window is there, or with null when it has ended before. */
async function startStandIn(
  options: DesktopOptions,
): Promise<Omit<Desktop, 'page'> & { readonly port: Promise<number | null> }> {
  const child = fork(
    path.join(root, 'dist/main/electron.js'),
    [`--lang=${options.locale ?? 'en-US'}`],
    {
      execArgv: ['--import', replaceElectron(await buildStandIn())],
      env: options.environment,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    },
  );
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
  const waiting = new Map<number, { done(value: unknown): void; failed(error: Error): void }>();
  let lastId = 0;
  let sayPort: (port: number | null) => void = () => undefined;
  const port = new Promise<number | null>((resolve) => (sayPort = resolve));
  child.on('message', (message: unknown) => {
    const { kind, id, value, error, port: opened } = message as Record<string, unknown>;
    if (kind === 'chromium') sayPort(Number(opened));
    if (kind !== 'answer') return;
    const call = waiting.get(Number(id));
    waiting.delete(Number(id));
    if (error === undefined) call?.done(value);
    else call?.failed(new Error(String(error)));
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      sayPort(null);
      for (const call of waiting.values()) call.failed(new Error(`it has ended: ${errors}`));
      resolve(code);
    });
  });
  return {
    port,
    evaluate: <T, A>(
      run: (electron: ElectronModule, argument: A) => T | Promise<T>,
      argument?: A,
    ) =>
      new Promise<T>((resolve, reject) => {
        lastId += 1;
        waiting.set(lastId, { done: (value) => resolve(value as T), failed: reject });
        child.send({ id: lastId, code: run.toString(), argument });
      }),
    errors: () => errors,
    ended,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function openStandIn(options: DesktopOptions): Promise<Desktop> {
  const { port, ...desktop } = await startStandIn(options);
  const opened = await port;
  if (opened === null) throw new Error(`it ended without a window: ${desktop.errors()}`);
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${String(opened)}`, {
    noDefaults: true,
  });
  const [context] = browser.contexts();
  if (context === undefined) throw new Error('Chromium has no context');
  const page = context.pages()[0] ?? (await context.waitForEvent('page'));
  return { ...desktop, page };
}

/** Opens the desktop shell; resolves when its window shows the page. */
export async function openDesktop(options: DesktopOptions): Promise<Desktop> {
  const desktop =
    'path' in found ? await openElectron(options, found.path) : await openStandIn(options);
  await desktop.page.waitForURL(`${inPage('app://netloom')}/**`, { waitUntil: 'load' });
  return desktop;
}

/** Starts it a second time, or where it cannot open: it is to end by itself. */
export async function startToEnd(
  options: DesktopOptions,
): Promise<{ readonly code: number | null; readonly errors: string }> {
  if ('path' in found) {
    const { spawn } = await import('node:child_process');
    const child = spawn(found.path, [root, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])], {
      env: options.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, errors };
  }
  const started = await startStandIn(options);
  const code = await started.ended;
  return { code, errors: started.errors() };
}

/** Ends the realms of a home and removes it; Chromium's last processes may still be writing there. */
export async function removeDesktopHome(home: Home): Promise<void> {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    try {
      removeHome(home);
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  await rm(home.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** What the preload gives a page; a test's function that runs there reads `window.netloom`. */
export type PageBridge = PreloadBridge;

interface Answer {
  readonly kind: string;
  readonly id: number;
  readonly value?: unknown;
  readonly failure?: { readonly code: string; readonly reason: string };
}

let lastCall = 1_000_000;

/** One call over the bridge as a page makes it: preload, IPC, host, and back. */
export function callBridge(page: Page, call: string, args: unknown): Promise<Answer> {
  lastCall += 1;
  return page.evaluate(
    ({ id, name, given }) =>
      new Promise<Answer>((resolve) => {
        window.netloom?.onMessage((text) => {
          const message = JSON.parse(text) as Answer;
          if (message.id === id && message.kind !== 'progress') resolve(message);
        });
        window.netloom?.send(JSON.stringify({ kind: 'call', id, call: name, args: given }));
      }),
    { id: lastCall, name: call, given: args },
  );
}
