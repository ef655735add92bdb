import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { hashOf } from '../../../main/library/atomic-file.ts';
import { nameFromFile, renameInText } from '../../../main/library/lab-text.ts';
import { Library, type LibraryListener } from '../../../main/library/library.ts';
import { defaultSettings, SettingsFile } from '../../../main/library/settings.ts';
import { readLab } from '../../../main/workbench/read-lab.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const labText = `# A comment at the top.
netloom: 1
name: wire # the name

topology:
  nodes:
    # The first.
    a: { kind: namespace }
    b: { kind: namespace }
  links:
    - endpoints: ['a:e0', 'b:e0']
`;

function makeLibrary(listener: Partial<LibraryListener> = {}): {
  readonly library: Library;
  readonly labs: string;
  readonly gallery: string;
} {
  const root = temporaryDirectory();
  const directories = {
    labs: path.join(root, 'data/labs'),
    captures: path.join(root, 'data/captures'),
    recentFile: path.join(root, 'data/recent.json'),
    settingsFile: path.join(root, 'config/settings.json'),
    gallery: path.join(root, 'gallery'),
  };
  mkdirSync(directories.gallery, { recursive: true });
  mkdirSync(directories.labs, { recursive: true });
  const library = new Library(directories, readLab, {
    libraryChanged: () => undefined,
    documentChanged: () => undefined,
    ...listener,
  });
  return { library, labs: directories.labs, gallery: directories.gallery };
}

function addFile(directory: string, name: string, text = labText): string {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
}

describe('saving a lab file', () => {
  it('replaces the version that was named and gives the new one', async () => {
    const { library, labs } = makeLibrary();
    const file = addFile(labs, 'wire.yaml');
    const text = `${labText}# more\n`;
    const saved = await library.save(file, text, hashOf(labText));
    expect(saved).toEqual({ ok: true, value: { path: file, text, version: hashOf(text) } });
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(readdirSync(labs)).toEqual(['wire.yaml']);
  });

  it('refuses when somebody else has changed the file, and leaves it as it is', async () => {
    const { library, labs } = makeLibrary();
    const file = addFile(labs, 'wire.yaml');
    writeFileSync(file, 'somebody else\n');
    const saved = await library.save(file, 'mine\n', hashOf(labText));
    expect(saved).toMatchObject({ ok: false, failure: { kind: 'refused', code: 'file-changed' } });
    expect(readFileSync(file, 'utf8')).toBe('somebody else\n');
  });

  it('lets one of two saves of the same version win', async () => {
    const { library, labs } = makeLibrary();
    const file = addFile(labs, 'wire.yaml');
    const outcomes = await Promise.all(
      ['first\n', 'second\n'].map((text) => library.save(file, text, hashOf(labText))),
    );
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false]);
    expect(readFileSync(file, 'utf8')).toBe('first\n');
  });

  it('keeps mode and symbolic link', async () => {
    const { library, labs } = makeLibrary();
    const target = addFile(temporaryDirectory(), 'real.yaml');
    chmodSync(target, 0o640);
    const file = path.join(labs, 'wire.yaml');
    symlinkSync(target, file);
    expect((await library.save(file, 'new\n', hashOf(labText))).ok).toBe(true);
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, 'utf8')).toBe('new\n');
    expect(statSync(target).mode & 0o777).toBe(0o640);
  });

  it.each(['/etc/passwd', 'relative.yaml', '/tmp/../tmp/x.yaml', '/tmp/.hidden.yaml'])(
    'takes no path such as %s',
    async (file) => {
      const { library } = makeLibrary();
      expect(await library.open(file)).toMatchObject({
        ok: false,
        failure: { code: 'not-a-lab-path' },
      });
    },
  );

  it('tells of a change by another program', async () => {
    const seen: string[] = [];
    let tell: () => void = () => undefined;
    const told = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const { library, labs } = makeLibrary({
      documentChanged: (_file, version) => {
        seen.push(version);
        tell();
      },
    });
    const file = addFile(labs, 'wire.yaml');
    await library.open(file);
    writeFileSync(file, 'other\n');
    await told;
    library.close();
    expect(seen).toEqual([hashOf('other\n')]);
  });
});

describe('the files of the library', () => {
  it('are listed with name, title and size, broken ones with their problem', async () => {
    const { library, labs } = makeLibrary();
    addFile(labs, 'wire.yaml');
    addFile(labs, 'Broken one.yaml', 'netloom: [\n');
    const files = await library.list();
    expect(files.map(({ name, nodes, links }) => ({ name, nodes, links }))).toEqual([
      { name: 'broken-one', nodes: 0, links: 0 },
      { name: 'wire', nodes: 2, links: 1 },
    ]);
    expect(files[0]?.problem?.kind).toBe('invalid-document');
    expect(files[1]?.problem).toBeNull();
  });

  it('include labs opened elsewhere while these exist', async () => {
    const { library } = makeLibrary();
    const file = addFile(temporaryDirectory(), 'elsewhere.yaml');
    await library.open(file);
    expect((await library.list()).map((one) => one.path)).toEqual([file]);
  });

  it('are created once under a name', async () => {
    const { library, labs } = makeLibrary();
    const created = await library.create('fresh');
    expect(created.ok && readLab(created.value.text).problems).toEqual([]);
    expect(existsSync(path.join(labs, 'fresh.yaml'))).toBe(true);
    expect(await library.create('fresh')).toMatchObject({
      ok: false,
      failure: { kind: 'name-taken' },
    });
  });

  it('keep their comments when duplicated and renamed', async () => {
    const { library, labs } = makeLibrary();
    const file = addFile(labs, 'wire.yaml');
    const copy = await library.duplicate(file, 'copy');
    expect(copy).toMatchObject({ ok: true });
    expect(readFileSync(path.join(labs, 'copy.yaml'), 'utf8')).toBe(
      labText.replace('name: wire', 'name: copy'),
    );
    const renamed = await library.rename(file, 'cable');
    expect(renamed).toMatchObject({ ok: true, value: { path: path.join(labs, 'cable.yaml') } });
    expect(existsSync(file)).toBe(false);
    expect(readFileSync(path.join(labs, 'cable.yaml'), 'utf8')).toBe(
      labText.replace('name: wire', 'name: cable'),
    );
  });

  it('are not renamed over another lab', async () => {
    const { library, labs } = makeLibrary();
    const file = addFile(labs, 'wire.yaml');
    addFile(labs, 'cable.yaml', labText.replace('name: wire', 'name: cable'));
    expect(await library.rename(file, 'cable')).toMatchObject({
      ok: false,
      failure: { kind: 'name-taken' },
    });
    expect(readFileSync(file, 'utf8')).toBe(labText);
  });

  it('are copied from the gallery once', async () => {
    const { library, labs, gallery } = makeLibrary();
    addFile(gallery, 'wire.yaml');
    const first = await library.openGallery('wire');
    expect(first).toMatchObject({ ok: true, value: { path: path.join(labs, 'wire.yaml') } });
    const file = path.join(labs, 'wire.yaml');
    await library.save(file, `${labText}# mine\n`, hashOf(labText));
    const second = await library.openGallery('wire');
    expect(second).toMatchObject({ ok: true, value: { text: `${labText}# mine\n` } });
  });
});

describe('a name in a document', () => {
  it('is quoted where it would read as something else', () => {
    expect(renameInText('name: a\n', '123', 'f')).toEqual({ ok: true, value: "name: '123'\n" });
    expect(renameInText('name: a\n', 'null', 'f')).toEqual({ ok: true, value: "name: 'null'\n" });
  });

  it('is made from the file where the document has none', () => {
    expect(nameFromFile('My Lab (2).netloom.yaml')).toBe('my-lab-2');
    expect(nameFromFile('网络.yml')).toBe('unnamed');
  });
});

describe('the settings', () => {
  it('are the defaults until written, and then what was written', async () => {
    const file = path.join(temporaryDirectory(), 'config/settings.json');
    const settings = new SettingsFile(file);
    expect(await settings.read()).toEqual(defaultSettings);
    const wanted = { ...defaultSettings, theme: 'dark', layout: { drawer: 200 } } as const;
    expect(await settings.write(wanted)).toEqual({ ok: true, value: {} });
    expect(await new SettingsFile(file).read()).toEqual(wanted);
  });

  it('set a damaged file aside and go on', async () => {
    const directory = temporaryDirectory();
    const file = path.join(directory, 'settings.json');
    writeFileSync(file, '{"theme": "da');
    expect(await new SettingsFile(file).read()).toEqual(defaultSettings);
    const [aside = ''] = readdirSync(directory);
    expect(aside).toMatch(/^settings\.json\.damaged-/);
    expect(readFileSync(path.join(directory, aside), 'utf8')).toBe('{"theme": "da');
  });

  it('keep what is understood of a file from another version', async () => {
    const file = path.join(temporaryDirectory(), 'settings.json');
    writeFileSync(file, '{"theme": "dark", "view": "radar", "later": 1}');
    expect(await new SettingsFile(file).read()).toEqual({ ...defaultSettings, theme: 'dark' });
  });
});
