/**
 * A stand-in for Electron's API, for machines without Electron's binary. It takes the place of the module `electron`
 * for the built dist/main/electron.js in a plain Node process, and drives real Chromium: pages, frames, navigations,
 * redirects, popups, downloads, content policies, script worlds and crashes are Chromium's own; what Electron adds to
 * it is imitated here as far as main/app uses it. Where it falls short of Electron:
 *
 * - `app://HOST/…` is `https://HOST.app.invalid/…` in Chromium, which knows no scheme of ours; every URL is translated.
 * - A denied popup exists for a moment, with its first request held, before it is closed: window.open is not null.
 * - Permissions are decided when a session opens its first page, by asking its two handlers about each permission that
 *   the protocol can set. A permission is granted when either handler allows it, so that both are put to the proof.
 * - WebSockets are not seen by webRequest, and nothing here raises will-attach-webview: Chromium has no webview.
 * - safeStorage, menus and native windows are not there; bounds are kept, not shown.
 */
import { EventEmitter } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  Chromium,
  type Fields,
  fieldsOf,
  type ProtocolEvent,
  textOf,
} from './electron-chromium.ts';
import {
  deliverFunction,
  isolatedWorld,
  isolatedWorldScript,
  mainWorldScript,
  sendBinding,
} from './electron-worlds.ts';

const domain = 'app.invalid';

/** What Chromium sees of a URL of the application. */
function inChromium(url: string): string {
  const match = /^app:\/\/(?<host>[^/?#]*)(?<rest>.*)$/s.exec(url);
  if (match?.groups === undefined) return url;
  return `https://${match.groups['host'] ?? ''}.${domain}${match.groups['rest'] ?? ''}`;
}

function inApplication(url: string): string {
  const match = /^(?<blob>blob:)?https:\/\/(?<host>[^/?#]*)\.app\.invalid(?<rest>.*)$/s.exec(url);
  if (match?.groups === undefined) return url;
  const { blob = '', host = '', rest = '' } = match.groups;
  return `${blob}app://${host}${rest}`;
}

class CancellableEvent {
  defaultPrevented = false;
  preventDefault(): void {
    this.defaultPrevented = true;
  }
}

const complain = (error: unknown): void => {
  process.stderr.write(`stand-in for Electron: ${String(error)}\n`);
};

// Chromium, once for all windows, at the first page.

let chromium: Promise<Chromium> | null = null;
const switches: string[] = [];
let webRtcPolicy: string | null = null;
/** By the target's id. */
const contentsOfTarget = new Map<string, WebContents>();
/** By the protocol's session: a page has one, and each of its frames in another process. */
const contentsOfSession = new Map<string, WebContents>();

async function launch(): Promise<Chromium> {
  const profile = path.join(app.getPath('userData'), 'chromium');
  const more = webRtcPolicy === null ? [] : [`--webrtc-ip-handling-policy=${webRtcPolicy}`];
  const made = new Chromium(profile, [
    ...switches,
    ...more,
    `--lang=${app.getLocale()}`,
    `--accept-lang=${app.getLocale()}`,
  ]);
  made.on('event', (event: ProtocolEvent) => {
    takeEvent(made, event);
  });
  await made.send('Target.setAutoAttach', {
    autoAttach: true,
    waitForDebuggerOnStart: true,
    flatten: true,
  });
  process.send?.({ kind: 'chromium', port: await made.port() });
  return made;
}

const theChromium = (): Promise<Chromium> => (chromium ??= launch());

function takeEvent(from: Chromium, event: ProtocolEvent): void {
  const { method, params, sessionId } = event;
  if (method === 'Target.attachedToTarget') {
    attach(from, params, sessionId).catch(complain);
    return;
  }
  if (method === 'Target.targetDestroyed' || method === 'Target.detachedFromTarget') {
    contentsOfTarget.get(textOf(params, 'targetId'))?.gone();
    return;
  }
  if (method === 'Browser.downloadWillBegin') {
    const frame = textOf(params, 'frameId');
    const contents = [...contentsOfTarget.values()].find((one) => one.frames.has(frame));
    (contents?.session ?? session.defaultSession).download(params, contents ?? null);
    return;
  }
  contentsOfSession.get(sessionId)?.take(event);
}

async function attach(from: Chromium, params: Fields, parentSession: string): Promise<void> {
  const target = fieldsOf(params, 'targetInfo');
  const sessionId = textOf(params, 'sessionId');
  const targetId = textOf(target, 'targetId');
  const type = textOf(target, 'type');
  const resume = (): Promise<unknown> =>
    from.send('Runtime.runIfWaitingForDebugger', {}, sessionId);
  if (type === 'iframe') {
    const contents = contentsOfSession.get(parentSession);
    if (contents !== undefined) await contents.setUp(sessionId);
    await resume();
    return;
  }
  if (type !== 'page') {
    await resume();
    return;
  }
  const known = contentsOfTarget.get(targetId);
  if (known !== undefined) {
    await known.setUp(sessionId);
    await resume();
    known.attached();
    return;
  }
  const opener = contentsOfTarget.get(textOf(target, 'openerId'));
  // Windows of our own are attached before their ids are known here.
  if (opener === undefined) {
    early.set(targetId, sessionId);
    return;
  }
  const url = opener.openedUrl() ?? textOf(target, 'url');
  if (opener.mayOpen(inApplication(url))) {
    const popup = new BrowserWindow({ webPreferences: opener.preferences }, targetId);
    await popup.webContents.setUp(sessionId);
    await resume();
    popup.webContents.attached();
  } else {
    // Closed while it waits, a popup of the same process leaves its opener paused for ever. Its first request is held.
    await Promise.all([
      from.send('Fetch.enable', { patterns: [{ urlPattern: '*' }] }, sessionId),
      resume(),
    ]).catch(() => undefined);
    await from.send('Target.closeTarget', { targetId });
  }
}

const early = new Map<string, string>();

// Sessions

type Decide<T> = (value: T) => void;
type RequestListener = (details: Fields, decide: Decide<{ cancel?: boolean }>) => void;
type Handler = (request: Request) => Response | Promise<Response>;
type PermissionRequest = (
  contents: WebContents,
  permission: string,
  decide: Decide<boolean>,
  details: Fields,
) => void;
type PermissionCheck = (
  contents: WebContents | null,
  permission: string,
  origin: string,
  details: Fields,
) => boolean;

/** Electron's name of a permission, and the protocol's. */
const permissions: readonly (readonly [string, Fields])[] = [
  ['notifications', { name: 'notifications' }],
  ['geolocation', { name: 'geolocation' }],
  ['media', { name: 'camera' }],
  ['media', { name: 'microphone' }],
  ['clipboard-read', { name: 'clipboard-read' }],
  ['clipboard-sanitized-write', { name: 'clipboard-write' }],
  ['midi', { name: 'midi' }],
  ['idle-detection', { name: 'idle-detection' }],
  ['window-management', { name: 'window-management' }],
  ['storage-access', { name: 'storage-access' }],
];

class Protocol {
  readonly handlers = new Map<string, Handler>();
  handle(scheme: string, handler: Handler): void {
    if (this.handlers.has(scheme)) throw new Error('The scheme has been registered');
    this.handlers.set(scheme, handler);
  }
  unhandle(scheme: string): void {
    this.handlers.delete(scheme);
  }
  isProtocolHandled(scheme: string): boolean {
    return this.handlers.has(scheme);
  }
  registerSchemesAsPrivileged(schemes: readonly Fields[]): void {
    if (app.isReady()) throw new Error('must be called before the application is ready');
    for (const scheme of schemes) privileged.set(textOf(scheme, 'scheme'), scheme);
  }
}
const privileged = new Map<string, Fields>();

class Session extends EventEmitter {
  readonly protocol = new Protocol();
  readonly partition: string | null;
  readonly downloads = path.join(app.getPath('userData'), 'downloads');
  private contextId: Promise<string> | null = null;
  private decidedPermissions = false;
  private requestListener: RequestListener | null = null;
  private permissionRequest: PermissionRequest | null = null;
  private permissionCheck: PermissionCheck | null = null;
  readonly webRequest = {
    onBeforeRequest: (listener: RequestListener | null): void => {
      this.requestListener = listener;
    },
  };

  constructor(partition: string | null) {
    super();
    this.partition = partition;
    mkdirSync(this.downloads, { recursive: true });
  }

  setPermissionRequestHandler(handler: PermissionRequest | null): void {
    this.permissionRequest = handler;
  }
  setPermissionCheckHandler(handler: PermissionCheck | null): void {
    this.permissionCheck = handler;
  }
  /** No device can be asked for through the protocol. */
  setDevicePermissionHandler(): void {}

  /** The browser context; empty for the default one. */
  context(from: Chromium): Promise<string> {
    this.contextId ??= (async () => {
      const id =
        this.partition === null
          ? ''
          : textOf(await from.send('Target.createBrowserContext'), 'browserContextId');
      await from.send('Browser.setDownloadBehavior', {
        behavior: 'allowAndName',
        downloadPath: this.downloads,
        eventsEnabled: true,
        ...(id === '' ? {} : { browserContextId: id }),
      });
      return id;
    })();
    return this.contextId;
  }

  async decidePermissions(from: Chromium, contents: WebContents, url: string): Promise<void> {
    if (this.decidedPermissions) return;
    this.decidedPermissions = true;
    const id = await this.context(from);
    const origin = new URL(inChromium(url)).origin;
    if (origin === 'null') return;
    const shown = `${inApplication(origin)}/`;
    for (const [permission, descriptor] of permissions) {
      // Without a handler Electron grants everything.
      const asked = await new Promise<boolean>((resolve) => {
        if (this.permissionRequest === null) resolve(true);
        else {
          const details = { requestingUrl: url, isMainFrame: true };
          this.permissionRequest(contents, permission, resolve, details);
        }
      });
      const checked = this.permissionCheck?.(contents, permission, shown, {}) ?? true;
      await from
        .send('Browser.setPermission', {
          permission: descriptor,
          setting: asked || checked ? 'granted' : 'denied',
          origin,
          ...(id === '' ? {} : { browserContextId: id }),
        })
        .catch(complain);
    }
  }

  /** Whether webRequest lets a request pass. */
  mayRequest(details: Fields): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.requestListener === null) resolve(true);
      else this.requestListener(details, ({ cancel }) => resolve(cancel !== true));
    });
  }

  download(params: Fields, contents: WebContents | null): void {
    const guid = textOf(params, 'guid');
    const event = new CancellableEvent();
    const url = inApplication(textOf(params, 'url'));
    const item = { getURL: () => url, getFilename: () => textOf(params, 'suggestedFilename') };
    this.emit('will-download', event, item, contents);
    if (!event.defaultPrevented) return;
    void theChromium()
      .then((from) => from.send('Browser.cancelDownload', { guid }))
      // A small one may have arrived already: it goes all the same, as in Electron.
      .catch(() => undefined)
      .finally(() => rmSync(path.join(this.downloads, guid), { force: true }));
  }
}

let sessions: Map<string, Session> | null = null;

function openSession(partition: string | null): Session {
  sessions ??= new Map();
  const key = partition ?? '';
  let found = sessions.get(key);
  if (found === undefined) {
    found = new Session(partition);
    sessions.set(key, found);
    app.emit('session-created', found);
  }
  return found;
}

export const session = {
  get defaultSession(): Session {
    if (!app.isReady()) throw new Error('Session can only be received when app is ready');
    return openSession(null);
  },
  fromPartition: (partition: string): Session => openSession(partition),
};

export const protocol = {
  registerSchemesAsPrivileged: (schemes: readonly Fields[]): void => {
    new Protocol().registerSchemesAsPrivileged(schemes);
  },
  handle: (scheme: string, handler: Handler): void => {
    session.defaultSession.protocol.handle(scheme, handler);
  },
};

export const net = {
  fetch: async (url: string, init?: RequestInit): Promise<Response> => {
    const handler = session.defaultSession.protocol.handlers.get(
      new URL(url).protocol.slice(0, -1),
    );
    if (handler === undefined) throw new Error('net::ERR_UNKNOWN_URL_SCHEME');
    return handler(new Request(url, init));
  },
};

// Contents

interface World {
  readonly frameId: string;
  readonly name: string;
}

class Frame {
  url = '';
  readonly id: string;
  readonly parent: Frame | null;
  /** Where to deliver messages. */
  isolated: { readonly sessionId: string; readonly contextId: number } | null = null;
  constructor(id: string, parent: Frame | null) {
    this.id = id;
    this.parent = parent;
  }
  get origin(): string {
    return /^[a-z]+:\/\/[^/]+/.exec(this.url)?.[0] ?? 'null';
  }
}

type Preferences = Fields & { readonly preload?: string };
type OpenHandler = (details: { readonly url: string }) => { readonly action: 'allow' | 'deny' };

let lastContents = 0;

class WebContents extends EventEmitter {
  readonly id: number;
  readonly preferences: Preferences;
  readonly session: Session;
  readonly frames = new Map<string, Frame>();
  targetId = '';
  private readonly owner: BrowserWindow;
  private readonly worlds = new Map<string, World>();
  private readonly secret = `bridge-${String(Math.random())}`;
  private sessionId = '';
  private mainFrameId = '';
  private destroyed = false;
  private openHandler: OpenHandler = () => ({ action: 'allow' });
  private readonly opened: string[] = [];
  /** The URL that main itself is loading. */
  private ownLoad: string | null = null;
  private loaded: () => void = () => undefined;
  private ready: Promise<void> | null = null;
  readonly attached: () => void;
  private readonly whenAttached: Promise<void>;

  constructor(owner: BrowserWindow, preferences: Preferences) {
    super();
    lastContents += 1;
    this.id = lastContents;
    this.owner = owner;
    this.preferences = preferences;
    const partition = preferences['partition'];
    this.session = openSession(typeof partition === 'string' ? partition : null);
    let done: () => void = () => undefined;
    this.whenAttached = new Promise((resolve) => (done = resolve));
    this.attached = () => done();
  }

  get mainFrame(): Frame {
    return this.frames.get(this.mainFrameId) ?? new Frame('', null);
  }
  getURL(): string {
    return this.mainFrame.url;
  }
  isDestroyed(): boolean {
    return this.destroyed;
  }
  getLastWebPreferences(): Preferences {
    return this.preferences;
  }
  setWindowOpenHandler(handler: OpenHandler): void {
    this.openHandler = handler;
  }
  setBackgroundThrottling(): void {}
  /** Chromium takes it at its start, for all pages. */
  setWebRTCIPHandlingPolicy(policy: string): void {
    webRtcPolicy = policy;
  }
  mayOpen(url: string): boolean {
    return this.openHandler({ url }).action === 'allow';
  }
  openedUrl(): string | undefined {
    return this.opened.shift();
  }

  private async command(method: string, params: Fields = {}, sessionId?: string): Promise<Fields> {
    const from = await theChromium();
    await this.whenAttached;
    return from.send(method, params, sessionId ?? this.sessionId);
  }

  /** Makes the page, unless Chromium has made it. */
  private open(): Promise<void> {
    this.ready ??= (async () => {
      const from = await theChromium();
      if (this.targetId === '') {
        const context = await this.session.context(from);
        const { width, height } = this.owner.getBounds();
        const made = await from.send('Target.createTarget', {
          url: 'about:blank',
          newWindow: true,
          width,
          height,
          ...(context === '' ? {} : { browserContextId: context }),
        });
        this.targetId = textOf(made, 'targetId');
        contentsOfTarget.set(this.targetId, this);
        const waiting = early.get(this.targetId);
        if (waiting !== undefined) {
          await this.setUp(waiting);
          await from.send('Runtime.runIfWaitingForDebugger', {}, waiting);
          this.attached();
        }
      }
      await this.whenAttached;
    })();
    return this.ready;
  }

  /** Prepares a session of the protocol before anything of its target runs. */
  async setUp(sessionId: string): Promise<void> {
    const from = await theChromium();
    const first = this.sessionId === '';
    if (first) this.sessionId = sessionId;
    contentsOfSession.set(sessionId, this);
    const send = (method: string, params: Fields = {}): Promise<Fields> =>
      from.send(method, params, sessionId);
    const { preload } = this.preferences;
    const commands: Promise<unknown>[] = [
      send('Page.enable'),
      send('Page.getFrameTree').then((tree) => {
        const frame = fieldsOf(fieldsOf(tree, 'frameTree'), 'frame');
        const id = textOf(frame, 'id');
        if (first) this.mainFrameId = id;
        const known = this.frames.get(id) ?? new Frame(id, null);
        known.url = inApplication(textOf(frame, 'url'));
        this.frames.set(id, known);
      }),
      send('Inspector.enable'),
      // A window of Electron's has the focus; a page without it gets no clipboard.
      send('Emulation.setFocusEmulationEnabled', { enabled: true }).catch(() => ({})),
      send('Fetch.enable', { patterns: [{ urlPattern: '*', requestStage: 'Request' }] }),
    ];
    if (preload !== undefined) {
      const text = readFileSync(preload, 'utf8');
      const subframes = this.preferences['nodeIntegrationInSubFrames'] === true;
      commands.push(
        send('Runtime.addBinding', { name: sendBinding, executionContextName: isolatedWorld }),
        send('Runtime.enable'),
        send('Page.addScriptToEvaluateOnNewDocument', { source: mainWorldScript(this.secret) }),
        send('Page.addScriptToEvaluateOnNewDocument', {
          source: isolatedWorldScript(this.secret, text, { subframes }),
          worldName: isolatedWorld,
        }),
      );
    } else commands.push(send('Runtime.enable'));
    commands.push(
      send('Target.setAutoAttach', {
        autoAttach: true,
        waitForDebuggerOnStart: true,
        flatten: true,
      }),
    );
    await Promise.all(commands);
  }

  take({ method, params, sessionId }: ProtocolEvent): void {
    switch (method) {
      case 'Fetch.requestPaused':
        this.decideRequest(params, sessionId).catch((error: unknown) => {
          if (!this.destroyed) complain(error);
        });
        return;
      case 'Page.frameAttached': {
        const id = textOf(params, 'frameId');
        const parent = this.frames.get(textOf(params, 'parentFrameId')) ?? null;
        if (!this.frames.has(id)) this.frames.set(id, new Frame(id, parent));
        return;
      }
      case 'Page.frameNavigated': {
        const shown = fieldsOf(params, 'frame');
        const id = textOf(shown, 'id');
        const frame = this.frames.get(id) ?? new Frame(id, null);
        this.frames.set(id, frame);
        frame.url = inApplication(`${textOf(shown, 'url')}${textOf(shown, 'urlFragment')}`);
        frame.isolated = null;
        if (id === this.mainFrameId) this.emit('did-navigate', {}, frame.url, 200, 'OK');
        return;
      }
      case 'Page.navigatedWithinDocument': {
        const frame = this.frames.get(textOf(params, 'frameId'));
        if (frame !== undefined) frame.url = inApplication(textOf(params, 'url'));
        return;
      }
      case 'Page.frameDetached':
        if (textOf(params, 'reason') !== 'swap') this.frames.delete(textOf(params, 'frameId'));
        return;
      case 'Page.loadEventFired':
        if (sessionId !== this.sessionId) return;
        this.loaded();
        this.emit('did-finish-load');
        this.owner.emit('ready-to-show');
        return;
      case 'Page.windowOpen':
        this.opened.push(textOf(params, 'url'));
        return;
      case 'Runtime.executionContextCreated': {
        const context = fieldsOf(params, 'context');
        const contextId = Number(context['id']);
        const frameId = textOf(fieldsOf(context, 'auxData'), 'frameId');
        const name = textOf(context, 'name');
        this.worlds.set(`${sessionId}/${String(contextId)}`, { frameId, name });
        const frame = this.frames.get(frameId);
        if (name === isolatedWorld && frame !== undefined)
          frame.isolated = { sessionId, contextId };
        return;
      }
      case 'Runtime.bindingCalled': {
        const world = this.worlds.get(`${sessionId}/${String(params['executionContextId'])}`);
        if (world?.name !== isolatedWorld || textOf(params, 'name') !== sendBinding) return;
        const { channel, args } = JSON.parse(textOf(params, 'payload')) as {
          readonly channel: string;
          readonly args: readonly unknown[];
        };
        const senderFrame = this.frames.get(world.frameId) ?? null;
        ipcMain.emit(channel, { sender: this, senderFrame, frameId: 0, processId: 0 }, ...args);
        return;
      }
      case 'Inspector.targetCrashed':
        if (sessionId !== this.sessionId) return;
        this.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 5 });
        return;
    }
  }

  /** Asks whom Electron would ask about one request of Chromium's, and answers it. */
  private async decideRequest(params: Fields, sessionId: string): Promise<void> {
    const from = await theChromium();
    const requestId = textOf(params, 'requestId');
    const request = fieldsOf(params, 'request');
    const url = inApplication(textOf(request, 'url'));
    const frameId = textOf(params, 'frameId');
    const isMainFrame = frameId === this.mainFrameId;
    const abort = (errorReason: string): Promise<Fields> =>
      from.send('Fetch.failRequest', { requestId, errorReason }, sessionId);

    if (textOf(params, 'resourceType') === 'Document') {
      const redirected = textOf(params, 'redirectedRequestId') !== '';
      const own = isMainFrame && !redirected && this.ownLoad === url;
      if (own) this.ownLoad = null;
      else if (!this.mayNavigate(url, this.frames.get(frameId) ?? null, isMainFrame, redirected)) {
        await abort('Aborted');
        return;
      }
    }
    const method = textOf(request, 'method');
    const resourceType = textOf(params, 'resourceType');
    const details = { id: 0, url, method, resourceType, webContentsId: this.id, timestamp: 0 };
    if (!(await this.session.mayRequest(details))) {
      await abort('BlockedByClient');
      return;
    }
    const scheme = url.slice(0, Math.max(0, url.indexOf(':')));
    const handler = this.session.protocol.handlers.get(scheme);
    if (handler === undefined) {
      if (scheme === 'app') await abort('NameNotResolved');
      else await from.send('Fetch.continueRequest', { requestId }, sessionId);
      return;
    }
    const body = request['postData'];
    const response = await handler(
      new Request(url, { method, ...(typeof body === 'string' ? { body } : {}) }),
    );
    const headers = [...response.headers].map(([name, value]) => ({
      name,
      value: name === 'location' ? inChromium(value) : value,
    }));
    await from.send(
      'Fetch.fulfillRequest',
      {
        requestId,
        responseCode: response.status,
        responseHeaders: headers,
        body: Buffer.from(await response.arrayBuffer()).toString('base64'),
      },
      sessionId,
    );
  }

  private mayNavigate(
    url: string,
    frame: Frame | null,
    isMainFrame: boolean,
    redirected: boolean,
  ): boolean {
    const details = { url, isSameDocument: false, isMainFrame, frame };
    const ask = (name: string): boolean => {
      const event = Object.assign(new CancellableEvent(), details);
      this.emit(name, event, url, false, isMainFrame, 0, 0);
      return !event.defaultPrevented;
    };
    // In Electron's order.
    if (redirected) return ask('will-redirect');
    ask('did-start-navigation');
    return ask('will-frame-navigate') && (!isMainFrame || ask('will-navigate'));
  }

  async loadURL(url: string): Promise<void> {
    await this.open();
    await this.session.decidePermissions(await theChromium(), this, url);
    this.ownLoad = url;
    const loaded = new Promise<void>((resolve) => (this.loaded = resolve));
    const result = await this.command('Page.navigate', { url: inChromium(url) });
    const reason = textOf(result, 'errorText');
    if (reason !== '') {
      this.emit('did-fail-load', {}, -2, reason, url, true);
      throw new Error(`${reason} (-2) loading '${url}'`);
    }
    await loaded;
  }

  reload(): void {
    this.ownLoad = this.mainFrame.url;
    this.command('Page.reload').catch(complain);
  }

  async executeJavaScript(expression: string): Promise<unknown> {
    const result = await this.command('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (result['exceptionDetails'] !== undefined) {
      throw new Error(JSON.stringify(result['exceptionDetails']));
    }
    return fieldsOf(result, 'result')['value'];
  }

  send(channel: string, ...args: readonly unknown[]): void {
    const { isolated } = this.mainFrame;
    if (isolated === null) return;
    const words = [channel, args].map((word) => JSON.stringify(word)).join(', ');
    this.command(
      'Runtime.evaluate',
      { expression: `${deliverFunction}(${words})`, contextId: isolated.contextId },
      isolated.sessionId,
    ).catch(() => undefined);
  }

  forcefullyCrashRenderer(): void {
    this.command('Page.crash').catch(() => undefined);
  }

  /** Its page has ended, by whomever. */
  gone(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    contentsOfTarget.delete(this.targetId);
    this.emit('destroyed');
    this.owner.pageGone();
  }

  async end(): Promise<void> {
    if (this.targetId !== '') {
      const from = await theChromium();
      await from.send('Target.closeTarget', { targetId: this.targetId }).catch(() => undefined);
    }
    this.gone();
  }
}

// Windows

interface Bounds {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const windows = new Set<BrowserWindow>();

export class BrowserWindow extends EventEmitter {
  readonly webContents: WebContents;
  readonly options: Fields;
  private bounds: Bounds;
  private visible: boolean;
  private minimized = false;
  private closed = false;
  private progress = -1;

  constructor(options: Fields, targetId = '') {
    super();
    if (!app.isReady()) throw new Error('Cannot create BrowserWindow before app is ready');
    this.options = options;
    const number = (name: string, otherwise: number): number => {
      const value = options[name];
      return typeof value === 'number' ? value : otherwise;
    };
    this.bounds = {
      x: number('x', 40),
      y: number('y', 40),
      width: number('width', 800),
      height: number('height', 600),
    };
    this.visible = options['show'] !== false;
    windows.add(this);
    this.webContents = new WebContents(this, fieldsOf(options, 'webPreferences') as Preferences);
    if (targetId !== '') {
      this.webContents.targetId = targetId;
      contentsOfTarget.set(targetId, this.webContents);
    }
    app.emit('web-contents-created', {}, this.webContents);
    app.emit('browser-window-created', {}, this);
  }

  static getAllWindows(): readonly BrowserWindow[] {
    return [...windows];
  }
  static fromWebContents(contents: WebContents): BrowserWindow | null {
    return [...windows].find((window) => window.webContents === contents) ?? null;
  }

  loadURL(url: string): Promise<void> {
    return this.webContents.loadURL(url);
  }
  getBounds(): Bounds {
    return this.bounds;
  }
  getNormalBounds(): Bounds {
    return this.bounds;
  }
  setBounds(bounds: Partial<Bounds>): void {
    this.bounds = { ...this.bounds, ...bounds };
  }
  show(): void {
    this.visible = true;
  }
  hide(): void {
    this.visible = false;
  }
  isVisible(): boolean {
    return this.visible;
  }
  focus(): void {
    this.emit('focus');
  }
  minimize(): void {
    this.minimized = true;
  }
  restore(): void {
    this.minimized = false;
  }
  isMinimized(): boolean {
    return this.minimized;
  }
  isDestroyed(): boolean {
    return this.closed;
  }
  setProgressBar(value: number): void {
    this.progress = value;
  }
  getProgressBar(): number {
    return this.progress;
  }

  close(): void {
    if (this.closed) return;
    const event = new CancellableEvent();
    this.emit('close', event);
    if (!event.defaultPrevented) this.destroy();
  }
  destroy(): void {
    this.webContents.end().catch(complain);
  }
  pageGone(): void {
    if (this.closed) return;
    this.closed = true;
    windows.delete(this);
    this.emit('closed');
    if (windows.size > 0) return;
    if (app.quitting) app.finish(0);
    else if (!app.emit('window-all-closed')) app.quit();
  }
}

// The application

class App extends EventEmitter {
  readonly isPackaged = false;
  readonly name = 'netloom';
  readonly commandLine = {
    appendSwitch: (name: string, value?: string): void => {
      switches.push(value === undefined ? `--${name}` : `--${name}=${value}`);
    },
  };
  quitting = false;
  sandboxed = false;
  private readonly paths = new Map<string, string>();
  private readonly becomeReady: Promise<void>;
  private isNowReady = false;
  private finished = false;

  constructor() {
    super();
    this.becomeReady = new Promise((resolve) =>
      setTimeout(() => {
        this.isNowReady = true;
        this.emit('ready', {});
        resolve();
      }, 50),
    );
  }

  enableSandbox(): void {
    if (this.isNowReady) throw new Error('must be called before the application is ready');
    this.sandboxed = true;
  }
  isReady(): boolean {
    return this.isNowReady;
  }
  whenReady(): Promise<void> {
    return this.becomeReady;
  }
  getLocale(): string {
    const word = process.argv.find((argument) => argument.startsWith('--lang='));
    return word?.slice('--lang='.length) ?? 'en-US';
  }
  getPath(name: string): string {
    const found = this.paths.get(name);
    if (found === undefined) throw new Error(`the stand-in has no path ${name}`);
    return found;
  }
  setPath(name: string, value: string): void {
    this.paths.set(name, value);
  }

  /** A file that names its holder; a second start leaves another beside it. */
  requestSingleInstanceLock(): boolean {
    const directory = this.getPath('userData');
    const file = path.join(directory, 'stand-in-lock');
    for (;;) {
      try {
        writeFileSync(file, String(process.pid), { flag: 'wx' });
        break;
      } catch {
        const holder = Number(readFileSync(file, 'utf8'));
        try {
          process.kill(holder, 0);
          const word = path.join(directory, `stand-in-second-${String(process.pid)}`);
          writeFileSync(`${word}.new`, '');
          renameSync(`${word}.new`, word);
          return false;
        } catch {
          rmSync(file, { force: true });
        }
      }
    }
    process.once('exit', () => rmSync(file, { force: true }));
    setInterval(() => {
      for (const name of readdirSync(directory)) {
        if (!/^stand-in-second-\d+$/.test(name)) continue;
        rmSync(path.join(directory, name), { force: true });
        this.emit('second-instance', {}, [], '/', null);
      }
    }, 50).unref();
    return true;
  }

  quit(): void {
    if (this.finished) return;
    const event = new CancellableEvent();
    this.emit('before-quit', event);
    if (event.defaultPrevented) return;
    this.quitting = true;
    if (windows.size === 0) {
      this.finish(0);
      return;
    }
    for (const window of windows) {
      const closing = new CancellableEvent();
      window.emit('close', closing);
      if (closing.defaultPrevented) {
        this.quitting = false;
        return;
      }
      window.destroy();
    }
  }
  finish(code: number): void {
    if (this.finished) return;
    const event = new CancellableEvent();
    this.emit('will-quit', event);
    if (event.defaultPrevented) return;
    this.finished = true;
    this.emit('quit', {}, code);
    process.exit(code);
  }
  exit(code = 0): void {
    this.finished = true;
    process.exit(code);
  }
}

export const app = new App();
export const ipcMain = new EventEmitter();

export const Menu = {
  buildFromTemplate: (template: readonly Fields[]): unknown => ({ template }),
  menu: null as unknown,
  setApplicationMenu: (menu: unknown): void => {
    Menu.menu = menu;
  },
  getApplicationMenu: (): unknown => Menu.menu,
};

/** A test puts its own answers here; unasked, a person closes the dialog. */
export const dialog = {
  showMessageBox: (...args: readonly unknown[]): Promise<{ readonly response: number }> => {
    const options = args.at(-1) as { readonly message?: string; readonly cancelId?: number };
    process.stderr.write(`dialog: ${options.message ?? ''}\n`);
    return Promise.resolve({ response: options.cancelId ?? 0 });
  },
  showErrorBox: (title: string, content: string): void => {
    process.stderr.write(`dialog: ${title}: ${content}\n`);
  },
};

export const nativeTheme = {
  shouldUseDarkColors: process.argv.includes('--force-dark-mode'),
  themeSource: 'system',
};

export const screen = {
  getAllDisplays: (): readonly unknown[] => [
    { workArea: { x: 0, y: 0, width: 1920, height: 1080 } },
  ],
};

// The test's hand in this process, as Playwright's `evaluate` has it in Electron's.

process.on('message', (message: unknown) => {
  const { id, code, argument } = message as {
    readonly id: number;
    readonly code: string;
    readonly argument: unknown;
  };
  const electron = {
    app,
    BrowserWindow,
    dialog,
    ipcMain,
    Menu,
    nativeTheme,
    net,
    protocol,
    screen,
    session,
  };
  const run = async (): Promise<unknown> => {
    const call = (0, eval)(`(${code})`) as (first: unknown, second: unknown) => unknown;
    return call(electron, argument);
  };
  run().then(
    (value) => process.send?.({ kind: 'answer', id, value }),
    (error: unknown) => process.send?.({ kind: 'answer', id, error: String(error) }),
  );
});
