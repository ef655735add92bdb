import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Canary, startCanary } from '../harness/electron-canary.ts';
import {
  callBridge,
  type Desktop,
  inPage,
  openDesktop,
  platform,
  removeDesktopHome,
} from '../harness/electron-desktop.ts';
import { type Home, makeHome } from '../harness/window.ts';

process.stderr.write(`desktop tests run on: ${platform.name} (${platform.reason})\n`);

/** Written by hand: what the page may do, and nothing else. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

let home: Home;
let desktop: Desktop;
let canary: Canary;

/** What main saw of the first window since the last look. */
interface Seen {
  readonly name: string;
  readonly url: string;
  readonly prevented: boolean;
}

beforeAll(async () => {
  home = makeHome();
  canary = await startCanary();
  desktop = await openDesktop({ environment: home.environment });
  await desktop.page.getByRole('heading', { name: 'Gallery' }).waitFor();
  await desktop.evaluate(({ BrowserWindow, app }) => {
    const seen: unknown[] = [];
    Object.assign(globalThis, { seen });
    const watch = (contents: Electron.WebContents): void => {
      for (const name of ['will-navigate', 'will-frame-navigate', 'will-redirect'] as const) {
        // After the application's own listeners.
        contents.on(name as 'will-navigate', (event) => {
          seen.push({ name, url: event.url, prevented: event.defaultPrevented });
        });
      }
      contents.on('did-navigate', (_event, url) => {
        seen.push({ name: 'did-navigate', url, prevented: false });
      });
    };
    const [window] = BrowserWindow.getAllWindows();
    if (window !== undefined) watch(window.webContents);
    app.on('web-contents-created', (_event, contents) => {
      watch(contents);
    });
  });
});
afterAll(async () => {
  await desktop.kill();
  canary.close();
  await removeDesktopHome(home);
});

function look(): Promise<readonly Seen[]> {
  return desktop.evaluate(() => (globalThis as unknown as { readonly seen: readonly Seen[] }).seen);
}

beforeEach(async () => {
  await desktop.evaluate(() => {
    (globalThis as unknown as { readonly seen: unknown[] }).seen.splice(0);
  });
  await desktop.page.evaluate(() => {
    Object.assign(window, { marker: 'the page that was there' });
  });
});

/** The page is the one that was there, and nobody outside heard of it. */
async function expectUntouched(): Promise<void> {
  await delay(300);
  const marker = await desktop.page.evaluate(
    () => (window as unknown as { readonly marker?: string }).marker,
  );
  expect(marker).toBe('the page that was there');
  expect(desktop.page.url()).toBe(inPage('app://netloom/index.html'));
  expect((await look()).filter(({ name }) => name === 'did-navigate')).toEqual([]);
  expect(await windowCount()).toBe(1);
  expect(canary.visits).toEqual([]);
}

function windowCount(): Promise<number> {
  return desktop.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().length);
}

let partitions = 0;

interface Site {
  /** Answers by URL; `redirect` is where a 302 leads. */
  readonly pages: Readonly<Record<string, { readonly html?: string; readonly redirect?: string }>>;
  readonly start: string;
  /** Gives subframes the preload as well. */
  readonly subframes?: boolean;
  /** Takes the session's request filter away, so that another guard has to hold. */
  readonly unfiltered?: boolean;
  /** Takes these events' listeners away, for the same reason. */
  readonly without?: readonly string[];
}

/**
 * A second window that the application did not make, with the application's preload, a session of its own and pages
 * of the test's. What guards it is what guards every session and every contents. Returns the contents' id; `load`
 * says how its first load ended.
 */
async function openSite(site: Site): Promise<{ readonly id: number; readonly load: string }> {
  partitions += 1;
  return desktop.evaluate(
    async (
      { BrowserWindow, session },
      { partition, pages, start, subframes, unfiltered, without },
    ) => {
      const [first] = BrowserWindow.getAllWindows();
      const contents = first?.webContents as unknown as {
        getLastWebPreferences(): Electron.WebPreferences;
      };
      const { preload = '' } = contents.getLastWebPreferences();
      const own = session.fromPartition(partition);
      const answer = (request: Request): Response => {
        const page = pages[request.url];
        if (page === undefined) return new Response(null, { status: 404 });
        if (page.redirect !== undefined) {
          return new Response(null, { status: 302, headers: { Location: page.redirect } });
        }
        return new Response(page.html ?? '', { headers: { 'Content-Type': 'text/html' } });
      };
      own.protocol.handle('app', answer);
      own.protocol.handle('https', answer);
      if (unfiltered === true) own.webRequest.onBeforeRequest(null);
      const window = new BrowserWindow({
        show: false,
        webPreferences: {
          preload,
          sandbox: true,
          contextIsolation: true,
          nodeIntegrationInSubFrames: subframes === true,
          partition,
        },
      });
      for (const name of without ?? []) window.webContents.removeAllListeners(name);
      const load = await window.webContents.loadURL(start).then(
        () => 'loaded',
        (error: unknown) => String(error),
      );
      return { id: window.webContents.id, load };
    },
    { partition: `test-${String(partitions)}`, ...site },
  );
}

function runIn(id: number, code: string): Promise<unknown> {
  return desktop.evaluate(
    ({ BrowserWindow }, given) =>
      BrowserWindow.getAllWindows()
        .find(({ webContents }) => webContents.id === given.id)
        ?.webContents.executeJavaScript(given.code),
    { id, code },
  );
}

async function closeSites(): Promise<void> {
  await desktop.evaluate(({ BrowserWindow }) => {
    const [, ...others] = BrowserWindow.getAllWindows();
    for (const window of others) window.destroy();
  });
  await expect.poll(windowCount).toBe(1);
}

describe(`what a window of Netloom may not do, on ${platform.name}`, () => {
  describe('its preferences', () => {
    it.each([
      ['sandbox', true],
      ['contextIsolation', true],
      ['nodeIntegration', false],
      ['nodeIntegrationInSubFrames', false],
      ['nodeIntegrationInWorker', false],
      ['webSecurity', true],
      ['allowRunningInsecureContent', false],
      ['experimentalFeatures', false],
      ['webviewTag', false],
      ['navigateOnDragDrop', false],
      ['spellcheck', false],
      ['safeDialogs', true],
    ])('%s is %s', async (name, value) => {
      const preference = await desktop.evaluate(({ BrowserWindow }, wanted) => {
        const contents = BrowserWindow.getAllWindows()[0]?.webContents as unknown as {
          getLastWebPreferences(): Readonly<Record<string, unknown>>;
        };
        return contents.getLastWebPreferences()[wanted];
      }, name);
      expect(preference).toBe(value);
    });

    it('leaves no Node, no Electron and no more than the bridge in the page', async () => {
      const found = await desktop.page.evaluate(() => ({
        globals: [
          'require',
          'process',
          'module',
          'exports',
          'global',
          'Buffer',
          '__dirname',
        ].filter((name) => name in window),
        electron: ['electron', 'ipcRenderer', 'contextBridge'].filter((name) => name in window),
        bridge: Object.keys(window.netloom ?? {}).sort(),
        prototype: Object.keys(Object.getPrototypeOf(window.netloom) as object),
      }));
      expect(found).toEqual({
        globals: [],
        electron: [],
        bridge: ['onMessage', 'send'],
        prototype: [],
      });
    });

    it('does not let the page put another bridge in its place', async () => {
      const kept = await desktop.page.evaluate(() => {
        const before = window.netloom;
        const tries = [
          () => Object.assign(window, { netloom: null }),
          () => Object.defineProperty(window, 'netloom', { value: null }),
          () => Reflect.deleteProperty(window, 'netloom'),
          () => Object.assign(window.netloom ?? {}, { send: null }),
        ];
        for (const attempt of tries) {
          try {
            attempt();
          } catch {
            // As it should be.
          }
        }
        return window.netloom === before && typeof window.netloom?.send === 'function';
      });
      expect(kept).toBe(true);
    });
  });

  describe('content policy', () => {
    it('comes with the page, with the headers that belong to it', async () => {
      const answered = desktop.page.waitForResponse(inPage('app://netloom/index.html'));
      const loaded = desktop.page.waitForEvent('load');
      await desktop.evaluate(({ BrowserWindow }) => {
        BrowserWindow.getAllWindows()[0]?.webContents.reload();
      });
      const headers = await (await answered).allHeaders();
      await loaded;
      expect(headers).toMatchObject({
        'content-security-policy': policy,
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      });
    });

    // What the page runs; what Chromium says it has violated.
    it.each([
      [
        'an inline script',
        'add("script", { textContent: "window.ran = true" })',
        'script-src-elem',
      ],
      ['a remote script', 'add("script", { src: remote })', 'script-src-elem'],
      ['an event attribute', 'add("div", {}).setAttribute("onclick", "1")', 'script-src-attr'],
      ['eval', 'try { (0, eval)("window.ran = true") } catch {}', 'script-src'],
      [
        'a function from text',
        'try { new Function("window.ran = true")() } catch {}',
        'script-src',
      ],
      [
        'a javascript: link',
        'add("a", { href: "javascript:window.ran=true" }).click()',
        'script-src-elem',
      ],
      ['a remote image', 'add("img", { src: remote })', 'img-src'],
      ['an inline style', 'add("div", {}).setAttribute("style", "color: red")', 'style-src-attr'],
      ['a remote style', 'add("link", { rel: "stylesheet", href: remote })', 'style-src-elem'],
      [
        'a remote font',
        'void new FontFace("x", `url(${remote})`).load().catch(() => 0)',
        'font-src',
      ],
      ['fetch', 'void fetch(remote).catch(() => 0)', 'connect-src'],
      ['fetch of its own files', 'void fetch("index.html").catch(() => 0)', 'connect-src'],
      [
        'XMLHttpRequest',
        '{ const x = new XMLHttpRequest(); x.open("GET", remote); x.send() }',
        'connect-src',
      ],
      [
        'a WebSocket',
        'try { new WebSocket(remote.replace("http", "ws")) } catch {}',
        'connect-src',
      ],
      ['a beacon', 'navigator.sendBeacon(remote)', 'connect-src'],
      ['an event source', 'new EventSource(remote)', 'connect-src'],
      [
        'a worker of its own text',
        'try { new Worker(URL.createObjectURL(new Blob([""]))) } catch {}',
        'worker-src',
      ],
      ['an iframe', 'add("iframe", { src: remote })', 'frame-src'],
      ['an object', 'add("object", { data: remote })', 'object-src'],
      ['media', 'add("video", { src: remote })', 'media-src'],
      ['another base', 'add("base", { href: remote })', 'base-uri'],
      [
        'a form',
        '{ const f = add("form", { action: remote, method: "POST" }); f.requestSubmit() }',
        'form-action',
      ],
    ])('blocks %s', async (_what, code, directive) => {
      // Not while the tool evaluates it, when Chromium lets eval pass: hence the timer.
      const outcome = await desktop.page.evaluate<{ violated: string[]; ran: boolean }>(`
        new Promise((resolve) => {
          const remote = ${JSON.stringify(`${canary.url}/policy`)};
          const violated = [];
          const listen = (event) => violated.push(event.effectiveDirective);
          document.addEventListener('securitypolicyviolation', listen);
          const add = (name, fields) => {
            const element = Object.assign(document.createElement(name), fields);
            document.body.append(element);
            setTimeout(() => element.remove(), 400);
            return element;
          };
          setTimeout(() => { ${code} }, 0);
          setTimeout(() => {
            document.removeEventListener('securitypolicyviolation', listen);
            resolve({ violated, ran: window.ran === true });
          }, 500);
        })`);
      expect(outcome.ran).toBe(false);
      expect(outcome.violated).toContain(directive);
      expect(canary.visits).toEqual([]);
    });
  });

  describe('navigation', () => {
    it.each([
      ['a link to another site', 'follow(remote)', 'remote'],
      ['a link to its own page', 'follow(own)', 'own'],
      ['location.href', 'location.href = remote', 'remote'],
      ['location.replace', 'location.replace(own)', 'own'],
      ['a link in an embedded frame to the top', 'fromFrame(remote)', 'remote'],
      ['a refresh', 'refresh(own)', 'own'],
    ])('is denied by %s', async (_what, code, where) => {
      const remote = `${canary.url}/navigation`;
      const own = `${inPage('app://netloom/index.html')}?elsewhere`;
      await desktop.page.evaluate(`
        (() => {
          const remote = ${JSON.stringify(remote)};
          const own = ${JSON.stringify(own)};
          const follow = (href, inside = document, target = '') => {
            const link = Object.assign(inside.createElement('a'), { href, target });
            inside.body.append(link);
            link.click();
            link.remove();
          };
          const fromFrame = (href) => {
            const frame = document.createElement('iframe');
            document.body.append(frame);
            follow(href, frame.contentDocument, '_top');
            setTimeout(() => frame.remove(), 200);
          };
          const refresh = (url) => {
            const meta = document.createElement('meta');
            meta.httpEquiv = 'refresh';
            meta.content = '0; url=' + url;
            document.head.append(meta);
          };
          setTimeout(() => { ${code} }, 0);
        })()`);
      const expected = where === 'remote' ? remote : 'app://netloom/index.html?elsewhere';
      await expect.poll(look).toContainEqual({
        name: 'will-frame-navigate',
        url: expected,
        prevented: true,
      });
      await expectUntouched();
    });

    it('is denied by each of the guards alone, in a window that we did not make', async () => {
      const start = 'app://site/start.html';
      for (const [guard, other] of [
        ['will-navigate', 'will-frame-navigate'],
        ['will-frame-navigate', 'will-navigate'],
      ] as const) {
        const { id, load } = await openSite({
          pages: { [start]: { html: '<title>start</title>' } },
          start,
          unfiltered: true,
          without: [other],
        });
        expect(load).toBe('loaded');
        const url = `${canary.url}/${guard}`;
        await desktop.evaluate(
          ({ BrowserWindow }, given) => {
            const found = BrowserWindow.getAllWindows().find(
              ({ webContents }) => webContents.id === given.id,
            );
            found?.webContents.on(given.guard as 'will-navigate', (event) => {
              const { seen } = globalThis as unknown as { readonly seen: unknown[] };
              const { url: to, defaultPrevented: prevented } = event;
              seen.push({ name: `alone ${given.guard}`, url: to, prevented });
            });
          },
          { id, guard },
        );
        await runIn(id, `setTimeout(() => { location.href = ${JSON.stringify(url)} }, 0)`);
        await expect.poll(look).toContainEqual({ name: `alone ${guard}`, url, prevented: true });
        await delay(200);
        expect(await runIn(id, 'document.title')).toBe('start');
        await closeSites();
      }
    });

    it('is denied by a redirect of a page that main itself loads', async () => {
      const start = 'app://site/start.html';
      const away = `${canary.url}/redirect`;
      const { load } = await openSite({
        pages: { [start]: { redirect: away } },
        start,
        unfiltered: true,
      });
      expect(load).toContain('ERR_ABORTED');
      expect(await look()).toContainEqual({ name: 'will-redirect', url: away, prevented: true });
      expect((await look()).filter(({ name }) => name === 'did-navigate')).toEqual([]);
      await closeSites();
    });

    it('is denied in an embedded frame, even where no content policy forbids it', async () => {
      const start = 'app://site/start.html';
      const away = `${canary.url}/frame`;
      const { id } = await openSite({
        pages: { [start]: { html: `<title>start</title><iframe src="${away}"></iframe>` } },
        start,
        unfiltered: true,
      });
      await expect
        .poll(look)
        .toContainEqual({ name: 'will-frame-navigate', url: away, prevented: true });
      expect(await runIn(id, 'document.title')).toBe('start');
      await closeSites();
      expect(canary.visits).toEqual([]);
    });
  });

  describe('windows', () => {
    it.each([
      ['window.open', 'window.opened = window.open(remote)'],
      ['window.open of its own page', 'window.opened = window.open("index.html")'],
      [
        'window.open with features',
        'window.opened = window.open(remote, "x", "width=300,nodeIntegration=yes")',
      ],
      ['window.open of nothing', 'window.opened = window.open("about:blank")'],
      [
        'a link with a target',
        'Object.assign(document.createElement("a"), { href: remote, target: "_blank" }).click()',
      ],
    ])('are not opened by %s', async (_what, code) => {
      await desktop.evaluate(({ app }) => {
        Object.assign(globalThis, { made: 0 });
        app.on('web-contents-created', () => {
          const counter = globalThis as unknown as { made: number };
          counter.made += 1;
        });
      });
      await desktop.page.evaluate(`
        window.opened = null;
        (() => { const remote = ${JSON.stringify(`${canary.url}/window`)}; ${code}; })()`);
      await expect
        .poll(() => desktop.page.evaluate('window.opened === null || window.opened.closed'))
        .toBe(true);
      await expectUntouched();
      const made = await desktop.evaluate(
        () => (globalThis as unknown as { readonly made: number }).made,
      );
      expect(made).toBe(0);
    });

    it('are not embedded as a webview', async () => {
      const kind = await desktop.page.evaluate((src) => {
        const element = Object.assign(document.createElement('webview'), { src });
        document.body.append(element);
        return element.constructor.name;
      }, `${canary.url}/webview`);
      expect(['HTMLElement', 'HTMLUnknownElement']).toContain(kind);
      await expectUntouched();
    });
  });

  describe('permissions', () => {
    it.each([
      ['notifications', 'Notification.requestPermission()'],
      [
        'geolocation',
        'new Promise((done) => navigator.geolocation.getCurrentPosition(() => done("granted"), (error) => done(error.code === 1 ? "denied" : "granted")))',
      ],
      [
        'camera',
        'navigator.mediaDevices.getUserMedia({ video: true }).then(() => "granted", (error) => error.name === "NotAllowedError" ? "denied" : error.name)',
      ],
      [
        'microphone',
        'navigator.mediaDevices.getUserMedia({ audio: true }).then(() => "granted", (error) => error.name === "NotAllowedError" ? "denied" : error.name)',
      ],
      [
        'reading the clipboard',
        'navigator.clipboard.readText().then(() => "granted", (error) => error.name === "NotAllowedError" ? "denied" : error.name)',
      ],
      ['MIDI', 'navigator.requestMIDIAccess().then(() => "granted", () => "denied")'],
    ])('deny %s to the page', async (_what, code) => {
      await desktop.page.bringToFront();
      expect(await desktop.page.evaluate(code)).toBe('denied');
    });

    it.each(['notifications', 'geolocation', 'camera', 'microphone', 'clipboard-read', 'midi'])(
      'deny %s also to a page without our headers',
      async (name) => {
        const start = 'app://netloom/start.html';
        const { id } = await openSite({ pages: { [start]: { html: 'x' } }, start });
        const query = `navigator.permissions.query({ name: '${name}' }).then(({ state }) => state)`;
        expect(await runIn(id, query)).toBe('denied');
        await closeSites();
      },
    );

    it('allow writing to the clipboard, for copying commands', async () => {
      await desktop.page.bringToFront();
      const outcome = await desktop.page.evaluate(
        'navigator.clipboard.writeText("ip link").then(() => "granted", (error) => error.name)',
      );
      expect(outcome).toBe('granted');
    });
  });

  it('cancels downloads', async () => {
    await desktop.evaluate(({ session }) => {
      const downloads: boolean[] = [];
      Object.assign(globalThis, { downloads });
      session.defaultSession.on('will-download', (event) => {
        downloads.push(event.defaultPrevented);
      });
    });
    await desktop.page.evaluate(() => {
      const href = URL.createObjectURL(new Blob(['a file']));
      Object.assign(document.createElement('a'), { href, download: 'file.txt' }).click();
    });
    const downloads = (): Promise<readonly boolean[]> =>
      desktop.evaluate(
        () => (globalThis as unknown as { readonly downloads: readonly boolean[] }).downloads,
      );
    if (platform.name === 'stand-in') await expect.poll(downloads).toEqual([true]);
    else {
      // Electron's request filter may have refused it before.
      await delay(500);
      expect(await downloads()).not.toContain(false);
    }
    await expectUntouched();
  });

  describe('requests', () => {
    it('are cancelled by the session where no content policy forbids them', async () => {
      const start = 'app://site/start.html';
      const { id } = await openSite({ pages: { [start]: { html: 'x' } }, start });
      const outcome = await runIn(
        id,
        `fetch(${JSON.stringify(`${canary.url}/request`)}).then(() => 'came', (error) => error.name)`,
      );
      expect(outcome).toBe('TypeError');
      expect(canary.visits).toEqual([]);
      await closeSites();
    });

    it('reach nothing even without the session’s filter: no name or address resolves', async () => {
      const start = 'app://site/start.html';
      const { id } = await openSite({ pages: { [start]: { html: 'x' } }, start, unfiltered: true });
      for (const url of [`${canary.url}/host`, canary.url.replace('127.0.0.1', 'localhost')]) {
        const code = `fetch(${JSON.stringify(url)}).then(() => 'came', (error) => error.name)`;
        expect(await runIn(id, code)).toBe('TypeError');
      }
      expect(canary.visits).toEqual([]);
      await closeSites();
    });

    it('of a peer connection send nothing', async () => {
      const candidates = await desktop.page.evaluate(async (port) => {
        const peer = new RTCPeerConnection({
          iceServers: [{ urls: `stun:127.0.0.1:${String(port)}` }],
        });
        const found: string[] = [];
        peer.onicecandidate = ({ candidate }) => {
          if (candidate !== null && candidate.candidate !== '') found.push(candidate.candidate);
        };
        peer.createDataChannel('x');
        await peer.setLocalDescription();
        await new Promise((resolve) => setTimeout(resolve, 1500));
        peer.close();
        return found;
      }, canary.udpPort);
      expect(candidates.filter((line) => line.includes(' udp '))).toEqual([]);
      expect(canary.packets()).toBe(0);
    });
  });

  describe('app://', () => {
    const request = (url: string, method = 'GET'): Promise<number | string> =>
      desktop.evaluate(
        async ({ net }, given) => {
          try {
            const { status, headers } = await net.fetch(given.url, { method: given.method });
            return headers.get('content-security-policy') === null ? 'no policy' : status;
          } catch (error) {
            return String(error);
          }
        },
        { url, method },
      );

    it.each([
      ['its page', 'app://netloom/index.html', 200],
      ['a folder', 'app://netloom/assets', 404],
      ['a file that is not there', 'app://netloom/none.js', 404],
      ['package.json above it', 'app://netloom/../../package.json', 404],
      ['the same, escaped', 'app://netloom/%2e%2e/%2e%2e/package.json', 404],
      ['the same, with escaped slashes', 'app://netloom/..%2f..%2fpackage.json', 404],
      ['the same, with backslashes', 'app://netloom/..%5c..%5cpackage.json', 404],
      ['an absolute path', 'app://netloom//etc/passwd', 404],
      ['a hidden file', 'app://netloom/.env.json', 404],
      ['a file with a null byte', 'app://netloom/index.html%00.js', 404],
      ['another host', 'app://other/index.html', 405],
      ['a host below', 'app://x.netloom/index.html', 405],
      ['a port', 'app://netloom:81/index.html', 405],
    ])('answers %s', async (_what, url, status) => {
      expect(await request(url)).toBe(status);
    });

    it.each(['POST', 'PUT', 'DELETE', 'HEAD'])('refuses %s', async (method) => {
      expect(await request('app://netloom/index.html', method)).toBe(405);
    });

    it('gives a page of Chromium’s own request no file from above', async () => {
      const statuses = await desktop.page.evaluate(
        async (paths) =>
          Promise.all(
            paths.map(
              (path) =>
                new Promise<string>((resolve) => {
                  const script = Object.assign(document.createElement('script'), {
                    src: path,
                    onload: () => resolve('came'),
                    onerror: () => resolve('refused'),
                  });
                  document.head.append(script);
                }),
            ),
          ),
        ['/..%2f..%2fdist%2fmain%2fpreload.cjs', '/%2e%2e/main/electron.js', '//netloom/x.js'],
      );
      expect(new Set(statuses)).toEqual(new Set(['refused']));
    });
  });

  describe('messages', () => {
    const sayInfo = (id: number): string =>
      `window.netloom.send('{"kind":"call","id":${String(id)},"call":"app.info","args":{}}')`;
    const listen = `window.heard = []; window.netloom.onMessage((text) => window.heard.push(text));`;

    it('of our own page are answered, in a window that a test made', async () => {
      const start = 'app://netloom/start.html';
      const { id } = await openSite({ pages: { [start]: { html: 'x' } }, start });
      await runIn(id, listen + sayInfo(1));
      await expect.poll(() => runIn(id, 'window.heard.length')).toBe(1);
      await closeSites();
    });

    it.each([
      ['another site', 'https://foreign.example/start.html'],
      ['another host of our scheme', 'app://foreign/start.html'],
      ['a host that begins like ours', 'app://netloom.example/start.html'],
    ])('of %s are refused', async (_what, start) => {
      const { id, load } = await openSite({
        pages: { [start]: { html: 'x' } },
        start,
        unfiltered: true,
      });
      expect(load).toBe('loaded');
      await runIn(id, listen + sayInfo(2));
      await expect
        .poll(() => desktop.errors())
        .toContain(`bridge: a message from ${start} was refused`);
      expect(await runIn(id, 'window.heard.length')).toBe(0);
      await closeSites();
    });

    it('of an embedded frame are refused, even one of our own origin', async () => {
      const start = 'app://netloom/start.html';
      const inner = 'app://netloom/inner.html';
      const { id } = await openSite({
        pages: {
          [start]: { html: `<iframe src="${inPage(inner)}"></iframe>` },
          [inner]: { html: '<title>inner</title>' },
        },
        start,
        subframes: true,
        without: ['will-frame-navigate'],
      });
      await runIn(id, listen);
      const has = `typeof frames[0].netloom`;
      await expect.poll(() => runIn(id, has)).toBe('object');
      await runIn(id, sayInfo(3).replace('window.', 'frames[0].'));
      await expect
        .poll(() => desktop.errors())
        .toContain(`bridge: a message from ${inner} was refused`);
      expect(await runIn(id, 'window.heard.length')).toBe(0);
      await runIn(id, sayInfo(4));
      await expect.poll(() => runIn(id, 'window.heard.length')).toBe(1);
      await closeSites();
    });

    it('cannot be sent from a frame that the page makes: the preload is not there', async () => {
      const found = await desktop.page.evaluate(async () => {
        const frame = document.createElement('iframe');
        frame.srcdoc = '<title>inner</title>';
        const loaded = new Promise((resolve) => (frame.onload = resolve));
        document.body.append(frame);
        await loaded;
        const kind = typeof (frame.contentWindow as Window & typeof globalThis).netloom;
        frame.remove();
        return kind;
      });
      expect(found).toBe('undefined');
    });

    it.each([
      ['garbage', '"\\u0000{{{"'],
      ['no text', '{ toString() { return "[]" } }'],
      ['a number', '17'],
      [
        'a call that does not exist',
        JSON.stringify('{"kind":"call","id":9,"call":"__proto__","args":{}}'),
      ],
      [
        'arguments that are none',
        JSON.stringify('{"kind":"call","id":9,"call":"app.info","args":7}'),
      ],
      ['another key', JSON.stringify('{"kind":"call","id":9,"call":"app.info","args":{},"x":1}')],
      ['20 MB', '"x".repeat(20_000_000)'],
      ['20 MB of JSON', '"[".repeat(20_000_000)'],
    ])('that are %s do no harm', async (_what, code) => {
      await desktop.page.evaluate(`window.netloom.send(${code})`);
      expect((await callBridge(desktop.page, 'app.info', {})).kind).toBe('result');
      await expectUntouched();
    });

    it('cannot be looked into by a page that tampers with prototypes', async () => {
      await desktop.page.evaluate(`
        (() => {
          const caught = [];
          window.caught = caught;
          const { apply } = Reflect;
          const undo = [];
          window.undoTampering = () => { for (const one of undo) one(); };
          const tamper = (owner, name) => {
            const original = owner[name];
            undo.push(() => { owner[name] = original; });
            owner[name] = function () {
              caught[caught.length] = this;
              for (let at = 0; at < arguments.length; at += 1) caught[caught.length] = arguments[at];
              return apply(original, this, arguments);
            };
          };
          tamper(Function.prototype, 'call');
          tamper(Function.prototype, 'apply');
          tamper(Function.prototype, 'bind');
          tamper(EventTarget.prototype, 'dispatchEvent');
          tamper(EventTarget.prototype, 'addEventListener');
          tamper(Map.prototype, 'get');
          tamper(Array.prototype, 'push');
          tamper(Array.prototype, Symbol.iterator);
          tamper(JSON, 'parse');
          tamper(JSON, 'stringify');
          tamper(window, 'String');
          Object.prototype.toJSON = function () { caught[caught.length] = this; return 'spoilt'; };
          undo.push(() => { delete Object.prototype.toJSON; });
          window.heardWhileTampered = '';
          window.netloom.onMessage((text) => { window.heardWhileTampered += text; });
          window.netloom.send('{"kind":"call","id":4711,"call":"app.info","args":{}}');
        })()`);
      await delay(500);
      const { heard, leaked } = await desktop.page.evaluate<{
        readonly heard: string;
        readonly leaked: boolean;
      }>(`
        (() => {
          window.undoTampering();
          const isLeak = (value) => {
            if (value === 'netloom:request' || value === 'netloom:message') return true;
            if (value === null || (typeof value !== 'object' && typeof value !== 'function')) {
              return false;
            }
            try {
              return 'exposeInMainWorld' in value || ('send' in value && 'invoke' in value) ||
                ('send' in value && 'on' in value);
            } catch {
              return false;
            }
          };
          return {
            heard: window.heardWhileTampered,
            leaked: window.caught.some(isLeak),
          };
        })()`);
      // The page spoils what it says itself; what comes in is what main has sent.
      expect(heard).toContain('"id":4711');
      expect(leaked).toBe(false);
    });
  });
});
