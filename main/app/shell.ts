/** The desktop shell from ready to quit: one window in front of the program. */
import { app, BrowserWindow, dialog, nativeTheme, screen, session } from 'electron';
import path from 'node:path';
import { findApplicationRoot } from '../start/application-root.ts';
import { type Program, startProgram } from '../workbench/program.ts';
import { setApplicationMenu } from './application-menu.ts';
import { applicationPage } from './application-origin.ts';
import { serveApplication } from './application-protocol.ts';
import { openApplicationWindow } from './application-window.ts';
import { carryBridge } from './bridge-carrier.ts';
import { askAboutLabs } from './closing.ts';
import { restrictSession } from './session-policy.ts';
import { languageOf, shellText } from './shell-text.ts';
import { keepBounds, readBounds } from './window-bounds.ts';

/** The page saves an edit 600 ms after it was made; closing waits for that. */
const saveMilliseconds = 900;

/** Brings the window to the front; also what a second start comes to. */
export function showShell(): void {
  const [window] = BrowserWindow.getAllWindows();
  if (window === undefined) return;
  if (window.isMinimized()) window.restore();
  window.show();
  window.focus();
}

/** What the agent needs on disk: beside the archive in a package, the checkout otherwise. */
function findProgramRoot(bundleRoot: string): string {
  return app.isPackaged ? path.join(process.resourcesPath, 'application') : bundleRoot;
}

/** The agent runs on Node, never on Electron: on the package's own, or the one that `npm start` runs on. */
function preferNode(): void {
  const node = app.isPackaged
    ? path.join(process.resourcesPath, 'runtime/node')
    : process.env['NETLOOM_NODE'];
  if (node === undefined || !path.isAbsolute(node)) return;
  process.env['PATH'] = `${path.dirname(node)}:${process.env['PATH'] ?? ''}`;
}

/** Opens Netloom. `profile` is a private directory of the shell's own; rejects when it cannot be opened. */
export async function startShell(profile: string): Promise<void> {
  const bundleRoot = findApplicationRoot();
  const development = !app.isPackaged;
  let leaving = false;
  /** Closes everything without another question; labs keep running. */
  const leave = (): void => {
    leaving = true;
    app.quit();
  };

  preferNode();
  restrictSession(session.defaultSession);
  serveApplication(path.join(bundleRoot, 'dist/renderer'));
  const program = startProgram({
    applicationRoot: findProgramRoot(bundleRoot),
    shell: 'desktop',
    quit: leave,
  });
  let closed = false;
  app.on('will-quit', (event) => {
    if (closed) return;
    // What is under way in a realm of its own is not to be left there.
    event.preventDefault();
    void program.close().finally(() => {
      closed = true;
      app.quit();
    });
  });
  app.on('window-all-closed', leave);
  // Electron would ask the window, and so the person: whoever sends a signal wants no question.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);

  const settings = await program.settings.read();
  const text = shellText(languageOf(settings.language, app.getLocale()));
  setApplicationMenu(text, development);
  carryBridge(program.host);
  const boundsFile = path.join(profile, 'window.json');
  const window = openApplicationWindow({
    preload: path.join(bundleRoot, 'dist/main/preload.cjs'),
    icon: path.join(bundleRoot, 'assets/icons/512x512.png'),
    bounds: readBounds(
      boundsFile,
      screen.getAllDisplays().map(({ workArea }) => workArea),
    ),
    // The theme itself is the page's: setting themeSource here would stop `system` from following the system.
    dark:
      settings.theme === 'dark' || (settings.theme === 'system' && nativeTheme.shouldUseDarkColors),
    development,
  });
  keepBounds(window, boundsFile);

  window.webContents.on('render-process-gone', (_event, { reason, exitCode }) => {
    if (leaving) return;
    leaving = true;
    process.stderr.write(`error: window: Its process ended (${reason}, ${String(exitCode)}).\n`);
    dialog.showErrorBox(text.windowGone, text.windowGoneDetail(reason));
    leave();
  });

  let asking = false;
  window.on('close', (event) => {
    if (leaving) return;
    event.preventDefault();
    if (asking) return;
    asking = true;
    void mayClose(window, program)
      .then(async (may) => {
        if (!may) return;
        // Timers of a hidden window would be slowed down.
        window.webContents.setBackgroundThrottling(false);
        window.hide();
        await new Promise((resolve) => setTimeout(resolve, saveMilliseconds));
        leave();
      })
      .finally(() => {
        asking = false;
      });
  });

  try {
    await window.loadURL(applicationPage);
  } catch (error) {
    // Whoever closes a window that is just opening has not failed to open it.
    if (!leaving) throw error;
  }
}

async function mayClose(window: BrowserWindow, program: Program): Promise<boolean> {
  try {
    const { language } = await program.settings.read();
    const text = shellText(languageOf(language, app.getLocale()));
    return await askAboutLabs(window, program.workbench, text);
  } catch (error) {
    // A window that cannot be closed is worse; the labs keep running.
    process.stderr.write(`error: closing: ${String(error)}\n`);
    return true;
  }
}
