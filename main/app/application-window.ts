import { BrowserWindow, type Rectangle, type WebContents, type WebPreferences } from 'electron';

/** Each said aloud, also where it is Electron's default: a default may change, a test reads these. */
export function webPreferences(preload: string, development: boolean): WebPreferences {
  return {
    preload,
    sandbox: true,
    contextIsolation: true,
    nodeIntegration: false,
    nodeIntegrationInSubFrames: false,
    nodeIntegrationInWorker: false,
    webSecurity: true,
    allowRunningInsecureContent: false,
    experimentalFeatures: false,
    webviewTag: false,
    navigateOnDragDrop: false,
    spellcheck: false,
    enableWebSQL: false,
    safeDialogs: true,
    devTools: development,
  };
}

export interface WindowOptions {
  readonly preload: string;
  readonly icon: string;
  readonly bounds: Partial<Rectangle>;
  readonly dark: boolean;
  /** From a checkout: with developer tools. */
  readonly development: boolean;
}

/** A window that shows nothing yet; it comes up with its page. */
export function openApplicationWindow(options: WindowOptions): BrowserWindow {
  const window = new BrowserWindow({
    width: 1440,
    height: 900,
    ...options.bounds,
    minWidth: 960,
    minHeight: 600,
    show: false,
    title: 'Netloom',
    icon: options.icon,
    backgroundColor: options.dark ? '#14181d' : '#f6f7f8',
    webPreferences: webPreferences(options.preload, options.development),
  });
  window.once('ready-to-show', () => {
    window.show();
  });
  return window;
}

/**
 * A window shows our page for as long as it lives: no other page, no other window, no embedded one. Called for every
 * contents there is, also those that we did not make.
 */
export function restrictContents(contents: WebContents): void {
  contents.on('will-navigate', (event) => {
    event.preventDefault();
  });
  contents.on('will-redirect', (event) => {
    event.preventDefault();
  });
  contents.on('will-frame-navigate', (event) => {
    event.preventDefault();
  });
  contents.on('will-attach-webview', (event) => {
    event.preventDefault();
  });
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  // Neither content policy nor request filter sees what a peer connection sends.
  contents.setWebRTCIPHandlingPolicy('disable_non_proxied_udp');
}
