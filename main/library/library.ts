/** The person's lab files: those in the library's directory and those opened from elsewhere. */
import { type Dirent, type FSWatcher, mkdirSync, watch } from 'node:fs';
import { readdir, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import {
  fail,
  type Failure,
  type LabDocument,
  type LocalizedText,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import type { GalleryEntry, OpenDocument } from '../bridge/contract.ts';
import { createTextFile, readJsonFile, readTextFile, writeTextFile } from './atomic-file.ts';
import { emptyLabText, nameFromFile, nameInText, renameInText } from './lab-text.ts';
import type { LibraryDirectories } from './library-directories.ts';
import { storageFailure, systemErrorCode } from './storage-failure.ts';

/** What a list shows of a lab file without asking any agent. */
export interface LabFile {
  readonly path: string;
  readonly name: string;
  readonly title: LocalizedText;
  /** ISO 8601 time of the last change. */
  readonly modified: string;
  /** SHA-256 of its bytes; null when it cannot be read. */
  readonly version: string | null;
  readonly nodes: number;
  readonly links: number;
  readonly problem: Failure | null;
}

/** Parses a document; `document` is null when it is not one. Given from outside, so that one validator serves all. */
export type ReadLab = (
  text: string,
  file: string,
) => { readonly document: LabDocument | null; readonly problems: readonly Failure[] };

/** A lab that comes with the program. */
interface GalleryLab {
  readonly text: string;
  readonly document: LabDocument;
}

export interface LibraryListener {
  /** Files came, went or changed. */
  libraryChanged(): void;
  /** An open file has another content, whoever wrote it. */
  documentChanged(file: string, version: string): void;
}

const RecentSchema = z.array(z.string().max(4096)).max(200);
const maximumRecent = 20;
/** Editors write in several steps; events closer than this belong together. */
const settleMilliseconds = 60;

const labFilePattern = /^[^.].*\.ya?ml$/i;

function labFailure(
  kind: Failure['kind'],
  code: string,
  object: string,
  reason: string,
  next: string,
): { readonly ok: false; readonly failure: Failure } {
  return fail({ kind, code, object, reason, next });
}

export class Library {
  readonly #directories: LibraryDirectories;
  readonly #readLab: ReadLab;
  readonly #listener: LibraryListener;
  /** By their text; null for one that does not parse. */
  readonly #galleryDocuments = new Map<string, LabDocument | null>();
  readonly #cache = new Map<string, { readonly stamp: string; readonly file: LabFile }>();
  /** Open files and the version that windows have been told of. */
  readonly #open = new Map<string, string>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #settling = new Map<string, NodeJS.Timeout>();
  /** Writes to one file happen one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(directories: LibraryDirectories, readLab: ReadLab, listener: LibraryListener) {
    this.#directories = directories;
    this.#readLab = readLab;
    this.#listener = listener;
  }

  get directory(): string {
    return this.#directories.labs;
  }

  /** Tells the listener of changes from now on. */
  watch(): void {
    try {
      mkdirSync(this.#directories.labs, { recursive: true });
    } catch {
      // A home that cannot be written: labs by path still work, and saving says why it does not.
    }
    this.#watchDirectory(this.#directories.labs);
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    for (const timer of this.#settling.values()) clearTimeout(timer);
    this.#watchers.clear();
    this.#settling.clear();
  }

  /** Every lab file of the library, then the recent ones from elsewhere that still exist. Never fails as a whole. */
  async list(): Promise<readonly LabFile[]> {
    const entries = await readdir(this.#directories.labs, { withFileTypes: true }).catch(
      (): Dirent[] => [],
    );
    const own = entries
      .filter((entry) => !entry.isDirectory() && labFilePattern.test(entry.name))
      .map((entry) => path.join(this.#directories.labs, entry.name))
      .sort();
    const paths = [...new Set([...own, ...(await this.#readRecent())])];
    const files = await Promise.all(paths.map((file) => this.#describe(file)));
    return files.filter((file) => file !== null);
  }

  /** What a list shows of one file; null when there is no such file. */
  async describe(file: string): Promise<LabFile | null> {
    return this.#describe(file);
  }

  async open(file: string): Promise<Result<OpenDocument>> {
    const refused = refusePath(file);
    if (refused !== null) return refused;
    const content = await readTextFile(file);
    if (!content.ok) return content;
    this.#remember(file, content.value.version);
    await this.#addRecent(file);
    return succeed({ path: file, ...content.value });
  }

  /** Replaces the version named by a new text. Refused with `file-changed` when the file has another one by now. */
  async save(file: string, text: string, version: string): Promise<Result<OpenDocument>> {
    const refused = refusePath(file);
    if (refused !== null) return refused;
    return this.#inTurn(file, async () => {
      const present = await readTextFile(file);
      if (!present.ok) return present;
      if (present.value.version !== version) {
        return labFailure(
          'refused',
          'file-changed',
          file,
          'The file was changed by somebody else since it was opened.',
          'Open it again, or save under another name.',
        );
      }
      if (present.value.text === text) return succeed({ path: file, text, version });
      const written = await writeTextFile(file, text);
      if (!written.ok) return written;
      this.#announce(file, written.value.version);
      return succeed({ path: file, ...written.value });
    });
  }

  async create(name: string): Promise<Result<OpenDocument>> {
    return this.#createAs(this.#pathFor(name), name, emptyLabText(name));
  }

  async duplicate(file: string, name: string): Promise<Result<OpenDocument>> {
    const refused = refusePath(file);
    if (refused !== null) return refused;
    const content = await readTextFile(file);
    if (!content.ok) return content;
    const renamed = renameInText(content.value.text, name, file);
    if (!renamed.ok) return renamed;
    return this.#createAs(this.#pathFor(name), name, renamed.value);
  }

  /** The caller has made sure that the lab is not up. */
  async rename(file: string, name: string): Promise<Result<OpenDocument>> {
    const refused = refusePath(file);
    if (refused !== null) return refused;
    return this.#inTurn(file, async () => {
      const content = await readTextFile(file);
      if (!content.ok) return content;
      const renamed = renameInText(content.value.text, name, file);
      if (!renamed.ok) return renamed;
      const target = path.join(path.dirname(file), `${name}.yaml`);
      if (target === file) {
        const written = await writeTextFile(file, renamed.value);
        if (!written.ok) return written;
        this.#announce(file, written.value.version);
        return succeed({ path: file, ...written.value });
      }
      const created = await this.#createAs(target, name, renamed.value, file);
      if (!created.ok) return created;
      const removed = await this.#unlink(file);
      return removed.ok ? created : removed;
    });
  }

  /** The caller has made sure that the lab is not up. */
  async delete(file: string): Promise<Result<Record<string, never>>> {
    const refused = refusePath(file);
    if (refused !== null) return refused;
    return this.#inTurn(file, () => this.#unlink(file));
  }

  /** The labs that come with Netloom, the easiest first (`order.txt`). One that does not parse is left out. */
  async gallery(): Promise<readonly GalleryEntry[]> {
    return (await this.#galleryLabs()).map(({ document }) => ({
      name: document.name,
      title: document.title ?? document.name,
      description: document.description ?? '',
      document,
    }));
  }

  async openGallery(name: string): Promise<Result<OpenDocument>> {
    const present = (await this.list()).find((file) => file.name === name);
    if (present !== undefined) return this.open(present.path);
    const found = (await this.#galleryLabs()).find(({ document }) => document.name === name);
    if (found === undefined) {
      return labFailure(
        'unknown-object',
        'no-such-gallery-lab',
        name,
        'The gallery has no lab of this name.',
        'Choose one from the gallery.',
      );
    }
    return this.#createAs(this.#pathFor(name), name, found.text);
  }

  /** Each is parsed once, since they come with the program; between two of them others are answered. */
  async #galleryLabs(): Promise<readonly GalleryLab[]> {
    const labs: GalleryLab[] = [];
    for (const { file, text } of await this.#galleryTexts()) {
      let document = this.#galleryDocuments.get(text);
      if (document === undefined) {
        ({ document } = this.#readLab(text, file));
        this.#galleryDocuments.set(text, document);
        await nextTurn();
      }
      if (document !== null) labs.push({ text, document });
    }
    return labs;
  }

  async #galleryTexts(): Promise<readonly { readonly file: string; readonly text: string }[]> {
    const names = await readdir(this.#directories.gallery).catch((): string[] => []);
    const order = await readTextFile(path.join(this.#directories.gallery, 'order.txt'));
    const places = new Map(
      (order.ok ? order.value.text : '')
        .split('\n')
        .map((line, place) => [`${line.trim()}.yaml`, place]),
    );
    // A lab that the order does not name comes last.
    const placeOf = (name: string): number => places.get(name) ?? places.size;
    const texts = await Promise.all(
      names
        .filter((name) => labFilePattern.test(name))
        .sort((one, other) => placeOf(one) - placeOf(other) || (one < other ? -1 : 1))
        .map(async (name) => {
          const file = path.join(this.#directories.gallery, name);
          const content = await readTextFile(file);
          return content.ok ? [{ file, text: content.value.text }] : [];
        }),
    );
    return texts.flat();
  }

  #pathFor(name: string): string {
    return path.join(this.#directories.labs, `${name}.yaml`);
  }

  /** Makes a lab file; refused when a file of the library (but `except`) bears the lab's name already. */
  async #createAs(
    file: string,
    name: string,
    text: string,
    except?: string,
  ): Promise<Result<OpenDocument>> {
    const taken = (await this.list()).find((one) => one.name === name && one.path !== except);
    if (taken !== undefined) return nameTaken(name, taken.path);
    const created = await createTextFile(file, text);
    if (!created.ok) {
      return created.failure.code === 'file-eexist' ? nameTaken(name, file) : created;
    }
    this.#remember(file, created.value.version);
    await this.#addRecent(file);
    this.#listener.libraryChanged();
    return succeed({ path: file, ...created.value });
  }

  async #unlink(file: string): Promise<Result<Record<string, never>>> {
    try {
      await unlink(file);
    } catch (error) {
      return storageFailure(file, error);
    }
    this.#open.delete(file);
    this.#cache.delete(file);
    await this.#writeRecent((await this.#readRecent()).filter((one) => one !== file));
    this.#listener.libraryChanged();
    return succeed({});
  }

  async #describe(file: string): Promise<LabFile | null> {
    const status = await stat(file).catch((error: unknown) =>
      systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR'
        ? null
        : undefined,
    );
    if (status === null) return null;
    const stamp =
      status === undefined
        ? ''
        : [status.mtimeMs, status.ctimeMs, status.size, status.ino].join(' ');
    const cached = this.#cache.get(file);
    if (cached !== undefined && stamp !== '' && cached.stamp === stamp) return cached.file;
    const described = await this.#read(file, status?.mtime ?? new Date(0));
    this.#cache.set(file, { stamp, file: described });
    return described;
  }

  async #read(file: string, modified: Date): Promise<LabFile> {
    const base = { path: file, modified: modified.toISOString(), nodes: 0, links: 0 };
    const fallback = nameFromFile(path.basename(file));
    const content = await readTextFile(file);
    if (!content.ok) {
      return { ...base, name: fallback, title: fallback, version: null, problem: content.failure };
    }
    const { text, version } = content.value;
    const { document, problems } = this.#readLab(text, file);
    if (document === null) {
      const name = nameInText(text) ?? fallback;
      return { ...base, name, title: name, version, problem: problems[0] ?? null };
    }
    return {
      ...base,
      name: document.name,
      title: document.title ?? document.name,
      version,
      nodes: Object.keys(document.topology.nodes).length,
      links: document.topology.links?.length ?? 0,
      problem: problems[0] ?? null,
    };
  }

  async #readRecent(): Promise<readonly string[]> {
    const parsed = RecentSchema.safeParse(await readJsonFile(this.#directories.recentFile));
    return parsed.success ? parsed.data.filter((file) => path.isAbsolute(file)) : [];
  }

  async #addRecent(file: string): Promise<void> {
    if (path.dirname(file) === this.#directories.labs) return;
    const recent = await this.#readRecent();
    if (recent[0] === file) return;
    await this.#writeRecent([file, ...recent.filter((one) => one !== file)]);
    this.#listener.libraryChanged();
  }

  /** A list that cannot be written is a list that is not remembered: no reason to refuse the lab itself. */
  async #writeRecent(recent: readonly string[]): Promise<void> {
    const known = await this.#readRecent();
    if (JSON.stringify(known) === JSON.stringify(recent)) return;
    await writeTextFile(
      this.#directories.recentFile,
      `${JSON.stringify(recent.slice(0, maximumRecent), null, 2)}\n`,
      0o600,
    );
  }

  #remember(file: string, version: string): void {
    this.#open.set(file, version);
    this.#watchDirectory(path.dirname(file));
  }

  /** Tells all windows of a new version; after the answer to the window that made it. */
  #announce(file: string, version: string): void {
    this.#open.set(file, version);
    setImmediate(() => {
      this.#listener.documentChanged(file, version);
      this.#listener.libraryChanged();
    });
  }

  /** Directories are watched, not files: editors replace files, and then a file's own watch sees nothing more. */
  #watchDirectory(directory: string): void {
    if (this.#watchers.has(directory)) return;
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === null || !labFilePattern.test(name)) return;
        const file = path.join(directory, name);
        clearTimeout(this.#settling.get(file));
        this.#settling.set(
          file,
          setTimeout(() => {
            this.#settling.delete(file);
            void this.#lookAgain(file);
          }, settleMilliseconds),
        );
      });
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
    } catch {
      // No watch (too many, or no such directory): the version check at saving still guards the file.
    }
  }

  async #lookAgain(file: string): Promise<void> {
    const known = this.#open.get(file);
    if (known !== undefined) {
      const content = await readTextFile(file);
      if (content.ok && content.value.version !== known && this.#open.get(file) === known) {
        this.#open.set(file, content.value.version);
        this.#listener.documentChanged(file, content.value.version);
      }
    }
    if (path.dirname(file) === this.#directories.labs || known !== undefined) {
      this.#listener.libraryChanged();
    }
  }

  async #inTurn<T>(file: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(file) ?? Promise.resolve();
    const turn = before.then(work, work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(file, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(file) === settled) this.#turns.delete(file);
    }
  }
}

function nameTaken(name: string, file: string): Result<never> {
  return labFailure(
    'name-taken',
    'lab-name-taken',
    name,
    `The lab ${file} bears this name.`,
    'Choose another name.',
  );
}

/** A window may name any path: only lab files are opened and written. */
function refusePath(file: string): Result<never> | null {
  if (
    path.isAbsolute(file) &&
    path.normalize(file) === file &&
    labFilePattern.test(path.basename(file))
  ) {
    return null;
  }
  return labFailure(
    'refused',
    'not-a-lab-path',
    file.slice(0, 512),
    'A lab file has an absolute path that ends in .yaml or .yml.',
    'Choose a lab file.',
  );
}
