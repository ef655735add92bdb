import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../../main/cli/main.ts';

const text = `netloom: 1
name: wire
topology:
  nodes:
    a:
      kind: namespace
      interfaces: { e0: { addresses: [10.0.0.1/24] } }
    b: { kind: namespace }
  links:
    - endpoints: ['a:e0', 'b:e0']
`;

let root: string;
let file: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'netloom-cli-'));
  file = path.join(root, 'wire.yaml');
  writeFileSync(file, text);
  vi.stubEnv('HOME', root);
  for (const name of ['XDG_DATA_HOME', 'XDG_STATE_HOME', 'XDG_CONFIG_HOME']) {
    vi.stubEnv(name, path.join(root, name));
  }
  const runtime = path.join(root, 'runtime');
  mkdirSync(runtime, { mode: 0o700 });
  vi.stubEnv('XDG_RUNTIME_DIR', runtime);
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(root, { recursive: true, force: true });
});

async function netloom(
  ...words: readonly string[]
): Promise<{ readonly status: number; readonly output: string; readonly errors: string }> {
  const written = { output: '', errors: '' };
  const capture = (key: keyof typeof written) => (chunk: unknown) => {
    written[key] += String(chunk);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(capture('output'));
  vi.spyOn(process.stderr, 'write').mockImplementation(capture('errors'));
  const status = await runCommandLine(words);
  vi.restoreAllMocks();
  return { status, ...written };
}

describe('usage', () => {
  it.each([
    [],
    ['fly'],
    ['up'],
    ['plan', 'x.yaml', '--fast'],
    ['plan', 'x.yaml', '--commands', '--json'],
    ['up', 'x.yaml', '--revision', '0'],
    ['up', 'x.yaml', '--revision', 'two'],
    ['down'],
    ['down', 'wire', '--all'],
    ['exec', 'wire'],
    ['link', 'wire', 'a:e0'],
    ['link', 'wire', 'a:e0', 'sideways'],
    ['link', 'wire', 'a:e0', 'flap', '--for', '5'],
    ['test'],
    ['agent', 'enrol'],
    ['agent', 'start'],
    ['agent', 'start', '--realm', 'moon'],
    ['show', '--realm', 'sandbox:../x'],
  ])('that is wrong ends with 2 and says why: %j %j %j %j', async (...words) => {
    const { status, output, errors } = await netloom(...words.filter((word) => word !== undefined));
    expect(status).toBe(2);
    expect(output).toBe('');
    expect(errors).not.toBe('');
  });

  it('is shown on request, with 0', async () => {
    const help = await netloom('--help');
    expect(help.status).toBe(0);
    for (const verb of ['up', 'plan', 'check', 'undo', 'redo', 'down', 'list', 'show', 'exec']) {
      expect(help.output).toMatch(new RegExp(`^  ${verb} `, 'm'));
    }
    expect((await netloom('--version')).output).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('a document', () => {
  it('that is missing ends with 2', async () => {
    const { status, errors } = await netloom('plan', path.join(root, 'none.yaml'));
    expect(status).toBe(2);
    expect(errors).toContain('none.yaml: There is no such file.');
  });

  it('that is wrong ends with 2 and names file, line and column', async () => {
    writeFileSync(file, text.replace('a:e0', 'c:e0'));
    for (const verb of [['plan'], ['up', '--yes']] as const) {
      const { status, output, errors } = await netloom(...verb, file);
      expect(status).toBe(2);
      expect(output).toBe('');
      expect(errors).toMatch(new RegExp(`error: ${file}:10:\\d+: c:e0: No node is named c`));
    }
  });

  it('that is no YAML ends with 2', async () => {
    writeFileSync(file, 'netloom: [\n');
    const { status, errors } = await netloom('check', file);
    expect(status).toBe(2);
    expect(errors).toMatch(/^error: /);
  });
});

describe('plan', () => {
  it('is against nothing where there is no realm, and has no id then', async () => {
    const { status, output } = await netloom('plan', file, '--json');
    expect(status).toBe(0);
    const plan: unknown = JSON.parse(output);
    expect(plan).toMatchObject({ id: null, lab: 'wire', realm: 'sandbox:wire', base: null });
  });

  it('prints the commands alone', async () => {
    const { status, output } = await netloom('plan', file, '--commands');
    expect(status).toBe(0);
    expect(output.split('\n')).toContain('ip netns add a');
    expect(output.endsWith('\n')).toBe(true);
  });

  it('finds a lab of the library by its name', async () => {
    const labs = path.join(root, 'XDG_DATA_HOME/netloom/labs');
    mkdirSync(labs, { recursive: true });
    writeFileSync(path.join(labs, 'other.yaml'), text.replace('name: wire', 'name: other'));
    expect((await netloom('plan', 'other')).output).toContain('other in sandbox:other');
  });
});

describe('without a realm', () => {
  it('up asks for --yes where nobody can be asked, and changes nothing', async () => {
    vi.stubGlobal('isTTY', false);
    const { status, errors } = await netloom('up', file);
    expect(status).toBe(1);
    expect(errors).toContain('give --yes');
    expect((await netloom('agent', 'status', '--json')).output).toBe('{\n  "realms": []\n}\n');
  });

  it('what needs an agent ends with 3', async () => {
    expect((await netloom('show', '--json')).status).toBe(3);
    expect((await netloom('show', '--realm', 'sandbox:none')).status).toBe(3);
    expect((await netloom('agent', 'status', '--realm', 'sandbox:none')).status).toBe(3);
  });

  it('a lab that nobody knows ends with 2', async () => {
    for (const words of [['check'], ['undo'], ['redo'], ['down'], ['shell']]) {
      expect((await netloom(...words, 'nobody')).status).toBe(2);
    }
    expect((await netloom('exec', 'nobody', 'a', '--', 'true')).status).toBe(2);
  });

  it('down --all and list have nothing to do', async () => {
    expect(await netloom('down', '--all')).toMatchObject({ status: 0, output: 'No lab is up.\n' });
    const listed: unknown = JSON.parse((await netloom('list', '--json')).output);
    expect(listed).toEqual({ labs: [], awaiting: [] });
  });
});
