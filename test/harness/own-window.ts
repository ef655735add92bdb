/** A Netloom of a test's own: a home, a gateway and a window of Chromium in front of it, with a person before that. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Browser, Page } from 'playwright-core';
import type { RunInRealm } from './network-state.ts';
import { Person } from './person.ts';
import {
  type Home,
  keeperOf,
  launchChromium,
  lookInto,
  makeHome,
  type OpenWindow,
  openWindow,
  removeHome,
  type Started,
  startNetloom,
  takePicture,
} from './window.ts';

const pictures = process.env['NETLOOM_PICTURES'];

interface Parts {
  readonly browser: Browser;
  readonly home: Home;
  readonly started: Started;
  readonly page: Page;
  readonly complaints: readonly string[];
}

export class OwnWindow {
  readonly page: Page;
  readonly person: Person;
  /** What the browser's console has complained of. */
  readonly complaints: readonly string[];
  private readonly parts: Parts;

  private constructor(parts: Parts) {
    this.parts = parts;
    this.page = parts.page;
    this.person = new Person(parts.page);
    this.complaints = parts.complaints;
  }

  static async open(): Promise<OwnWindow> {
    const home = makeHome();
    const browser = await launchChromium();
    const started = await startNetloom(home);
    const { page, complaints } = await openWindow(browser, started.url);
    page.setDefaultTimeout(15_000);
    return new OwnWindow({ browser, home, started, page, complaints });
  }

  async close(): Promise<void> {
    const { browser, started, home } = this.parts;
    await browser.close();
    await started.stop();
    removeHome(home);
  }

  /** A further window in front of the same Netloom. */
  another(options: Parameters<typeof openWindow>[2]): Promise<OpenWindow> {
    return openWindow(this.parts.browser, this.parts.started.url, options);
  }

  /** Takes a picture where somebody asks for pictures. */
  async picture(name: string, page: Page = this.page): Promise<void> {
    if (pictures !== undefined) await takePicture(page, pictures, name);
  }

  /** Runs commands in the sandbox of a lab. */
  realmOf(lab: string): RunInRealm {
    return lookInto(this.keeperOf(lab));
  }

  /** Pid of the process that holds the sandbox of a lab open. */
  keeperOf(lab: string): number {
    return keeperOf(this.parts.home, `sandbox:${lab}`);
  }

  /** Starts a command in a node of a lab's sandbox; the output is there to be read. It ends by itself, or is killed. */
  startIn(lab: string, node: string, command: readonly string[]): ChildProcess {
    const keeper = String(this.keeperOf(lab));
    const enter = ['-t', keeper, '-U', '--preserve-credentials', '-m', '-n', '-p', '--'];
    return spawn('nsenter', [...enter, 'ip', 'netns', 'exec', node, ...command], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  }

  /** Below it are the files of the person. */
  get home(): string {
    return this.parts.home.directory;
  }
}
