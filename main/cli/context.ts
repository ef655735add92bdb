import { stat } from 'node:fs/promises';
import path from 'node:path';
import {
  fail,
  labNamePattern,
  type RealmName,
  RealmNameSchema,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import { type Directories, findDirectories } from '../agent-link/directories.ts';
import { Library } from '../library/library.ts';
import { libraryDirectories } from '../library/library-directories.ts';
import { readTextFile } from '../library/atomic-file.ts';
import { findApplicationRoot } from '../start/application-root.ts';
import { agentDoor } from '../workbench/agent-door.ts';
import { readLab } from '../workbench/read-lab.ts';
import type { RealmDoor } from '../workbench/realm-door.ts';
import { Workbench, type WorkbenchOptions } from '../workbench/workbench.ts';

/** What every verb works with. */
export interface Context {
  readonly applicationRoot: string;
  readonly directories: Directories;
  readonly door: RealmDoor;
  readonly workbench: Workbench;
  readonly library: Library;
}

export function createContext(publish?: WorkbenchOptions['publish']): Context {
  const applicationRoot = findApplicationRoot();
  const directories = findDirectories();
  const door = agentDoor({ applicationRoot, directories });
  const library = new Library(libraryDirectories(directories, applicationRoot), readLab, {
    libraryChanged: () => undefined,
    documentChanged: () => undefined,
  });
  return {
    applicationRoot,
    directories,
    door,
    workbench: new Workbench({ door, ...(publish === undefined ? {} : { publish }) }),
    library,
  };
}

/** `sandbox` stands for the lab's own, which is null here: the workbench finds it. */
export function parseRealm(text: string | undefined, lab: string | null): Result<RealmName | null> {
  if (text === undefined) return succeed(null);
  if (text === 'sandbox') return succeed(lab === null ? null : `sandbox:${lab}`);
  const parsed = RealmNameSchema.safeParse(text);
  if (parsed.success) return succeed(parsed.data);
  return fail({
    kind: 'invalid-request',
    code: 'invalid-realm',
    object: `--realm ${text}`,
    reason: 'A realm is `sandbox`, `sandbox:NAME` or `host`.',
    next: 'Give one of these.',
  });
}

export interface LabSource {
  readonly path: string;
  readonly text: string;
}

async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** A lab file by its path, else by the name of a lab in the library. */
export async function readSource(context: Context, word: string): Promise<Result<LabSource>> {
  const file = path.resolve(word);
  let found = file;
  if (labNamePattern.test(word) && !(await isFile(file))) {
    const named = (await context.library.list()).find(({ name }) => name === word);
    found = named?.path ?? (await context.workbench.record(word))?.record.path ?? file;
  }
  const content = await readTextFile(found);
  return content.ok ? succeed({ path: found, text: content.value.text }) : content;
}

/** The lab that a word means: the name of a lab that is known, or what a file's document says. */
export async function labOf(context: Context, word: string): Promise<Result<string>> {
  if (labNamePattern.test(word) && !(await isFile(path.resolve(word)))) return succeed(word);
  const source = await readSource(context, word);
  if (!source.ok) return source;
  const { document, problems } = readLab(source.value.text, source.value.path);
  if (document !== null) return succeed(document.name);
  return fail(
    problems[0] ?? {
      kind: 'invalid-document',
      code: 'invalid-document',
      object: word,
      reason: 'It is no lab document.',
      next: 'Check the file.',
    },
  );
}
