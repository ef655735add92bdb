import { type BrowserWindow, dialog } from 'electron';
import { takeAllDown } from '../workbench/take-down.ts';
import type { Workbench } from '../workbench/workbench.ts';
import type { ShellText } from './shell-text.ts';

async function labsThatAreUp(workbench: Workbench): Promise<readonly string[]> {
  const wanted = [...(await workbench.records()).values()].filter(({ record }) => record.up);
  const names = wanted.map(({ record }) => record.name);
  // What is meant to be up may have gone with its realm.
  const up = await Promise.all(names.map((name) => workbench.isUp(name)));
  return names.filter((_name, index) => up[index]).sort();
}

/**
 * Asks whether labs keep running, where any is up, and takes them down on the person's word. False when the window is
 * to stay: by their word, or because a lab could not be taken down.
 */
export async function askAboutLabs(
  window: BrowserWindow,
  workbench: Workbench,
  text: ShellText,
): Promise<boolean> {
  const labs = await labsThatAreUp(workbench);
  if (labs.length === 0) return true;
  const answers = ['keep', 'down', 'cancel'] as const;
  const { response } = await dialog.showMessageBox(window, {
    type: 'question',
    title: 'Netloom',
    message: text.keepLabs,
    detail: text.labsAreUp(labs),
    buttons: answers.map((answer) => text.answers[answer]),
    defaultId: answers.indexOf('keep'),
    cancelId: answers.indexOf('cancel'),
    noLink: true,
  });
  if (answers[response] === 'keep') return true;
  if (answers[response] !== 'down') return false;

  // More than 1 is a bar without an end.
  window.setProgressBar(2);
  const { failures } = await takeAllDown(workbench);
  window.setProgressBar(-1);
  const [failure] = failures;
  if (failure === undefined) return true;
  await dialog.showMessageBox(window, {
    type: 'error',
    title: 'Netloom',
    message: text.takeDownFailed(failure.object),
    detail: `${failure.reason} ${failure.next}`,
    buttons: [text.understood],
    noLink: true,
  });
  return false;
}
