/** The desktop shell: Electron's main process. Entry of dist/main/electron.js. */
import { app, dialog } from 'electron';
import { ensureOwnDirectory, findDirectories } from '../agent-link/directories.ts';
import { registerApplicationScheme } from './application-protocol.ts';
import { restrictContents } from './application-window.ts';
import { languageOf, shellText } from './shell-text.ts';
import { restrictSession, shutOffNetwork } from './session-policy.ts';
import { showShell, startShell } from './shell.ts';

function giveUp(error: unknown): void {
  const { startFailed } = shellText(languageOf('system', app.getLocale()));
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(`error: desktop shell: ${reason}\n`);
  if (error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  dialog.showErrorBox(startFailed, reason);
  app.exit(1);
}

/** Chromium's own files (profile, cache, lock) stay apart from the person's settings and labs. */
function makeProfile(): string {
  const { state } = findDirectories();
  const profile = `${state}/desktop`;
  for (const directory of [state, profile]) {
    const made = ensureOwnDirectory(directory);
    if (!made.ok) {
      const { object, reason, next } = made.failure;
      throw new Error(`${object}: ${reason} ${next}`);
    }
  }
  return profile;
}

// All of this has to happen before the application is ready. Guards come first and hold for every session and every
// contents, whoever makes them.
app.enableSandbox();
shutOffNetwork();
registerApplicationScheme();
app.on('session-created', restrictSession);
app.on('web-contents-created', (_event, contents) => {
  restrictContents(contents);
});

try {
  const profile = makeProfile();
  app.setPath('userData', profile);
  if (app.requestSingleInstanceLock()) {
    app.on('second-instance', showShell);
    app
      .whenReady()
      .then(() => startShell(profile))
      .catch(giveUp);
  } else {
    process.stderr.write('netloom: Netloom is open already; its window comes to the front.\n');
    app.quit();
  }
} catch (error) {
  // Before it is ready there is no dialog.
  void app.whenReady().then(() => {
    giveUp(error);
  });
}
