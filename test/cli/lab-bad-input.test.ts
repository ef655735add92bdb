/** Input that is wrong: each gets its sentence and its exit status, and a lab that is up does not notice. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Failure } from '../../agent/api/result.ts';
import { gallery, Netloom, parse, type RunningRealm } from '../harness/netloom.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

const twoNamespaces = path.join(gallery, 'two-namespaces.yaml');

/** A lab with one thing in it that is to be wrong. */
function lab(nodes: string, rest = ''): string {
  return `netloom: 1\nname: two-namespaces\ntopology:\n  nodes:\n${nodes}${rest}`;
}

const pair = `    a: { kind: namespace, interfaces: { e: { addresses: [10.0.0.1/24] } } }
    b: { kind: namespace, interfaces: { e: { addresses: [10.0.0.1/24] } } }
`;

function aliasBomb(): string {
  const lines = ['netloom: 1', 'name: bomb', 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let depth = 1; depth <= 30; depth += 1) {
    const alias = `*a${String(depth - 1)}`;
    const list = Array.from({ length: 10 }, () => alias).join(', ');
    lines.push(`a${String(depth)}: &a${String(depth)} [${list}]`);
  }
  return `${lines.join('\n')}\n`;
}

interface WrongFile {
  readonly what: string;
  readonly content: string | Uint8Array;
  /** Line that the sentence names; null where no line is to blame. */
  readonly line: number | null;
  readonly says: RegExp;
}

const wrongFiles: readonly WrongFile[] = [
  { what: 'broken YAML', content: 'netloom: 1\nname: [two\n', line: 3, says: /YAML/ },
  {
    what: 'an unknown key',
    content: lab('    a: { kind: namespace, colour: red }\n'),
    line: 5,
    says: /a: .*colour/,
  },
  {
    what: 'a duplicate address',
    content: lab(pair, '  links:\n    - endpoints: [a:e, b:e]\n'),
    line: 6,
    says: /b:e: .*10\.0\.0\.1/,
  },
  {
    what: 'a name that the kernel would rewrite',
    content: lab(
      '    a: { kind: namespace }\n    b: { kind: namespace }\n',
      '  links:\n    - endpoints: ["a:a%d", b:e]\n',
    ),
    line: 8,
    says: /a%d/,
  },
  {
    what: 'a name that looks like an option',
    content: lab('    -x: { kind: namespace }\n'),
    line: 5,
    says: /-x/,
  },
  {
    what: 'a name that leads out of a directory',
    content: lab('    ../../etc: { kind: namespace }\n'),
    line: 5,
    says: /\.\.\/\.\.\/etc/,
  },
  {
    what: 'a lab name that leads out of a directory',
    content: 'netloom: 1\nname: ../escape\ntopology: { nodes: {} }\n',
    line: 2,
    says: /\.\.\/escape/,
  },
  {
    what: 'an endpoint that names no node',
    content: lab('    a: { kind: namespace }\n', '  links:\n    - endpoints: [a:e, nobody:e]\n'),
    line: 7,
    says: /nobody/,
  },
  {
    what: 'a key given twice',
    content: lab('    a: { kind: namespace }\n    a: { kind: namespace }\n'),
    line: 6,
    says: /`?a`?/,
  },
  { what: 'aliases that expand without end', content: aliasBomb(), line: null, says: /alias/i },
  {
    what: 'lists nested without end',
    content: `netloom: 1\nname: ${'['.repeat(100_000)}\n`,
    line: null,
    says: /nest/i,
  },
  {
    what: 'a huge file',
    content: `netloom: 1\n${'# more and more\n'.repeat(200_000)}`,
    line: null,
    says: /larger than 1024 KiB/,
  },
  {
    what: 'a binary file',
    content: Uint8Array.from({ length: 4096 }, (_, index) => (index * 37) % 256),
    line: null,
    says: /UTF-8/,
  },
  { what: 'an empty file', content: '', line: 1, says: /empty/ },
  {
    what: 'another version',
    content: 'netloom: 2\nname: a\ntopology: { nodes: {} }\n',
    line: 1,
    says: /netloom/,
  },
];

let netloom: Netloom;
let realm: RunningRealm;
let before: NetworkState;

beforeAll(async () => {
  netloom = new Netloom();
  await netloom.must(['up', twoNamespaces, '--yes']);
  realm = await netloom.realm('two-namespaces');
  before = readNetworkState(realm.inRealm);
});
afterAll(() => netloom.dispose());

describe('a file that is wrong', () => {
  it.each(wrongFiles)('is refused for $what', async ({ content, line, says }) => {
    const file = await netloom.write('wrong.yaml', content);
    // The text and the JSON at once: each is a start of the command.
    const [said, told] = await Promise.all([
      netloom.run(['up', file, '--yes', '--replace']),
      netloom.run(['plan', file, '--json']),
    ]);
    expect(said.stdout).toBe('');
    expect(said.stderr).toMatch(says);
    expect(said.stderr).toContain(line === null ? file : `${file}:${String(line)}:`);
    expect([said.status, told.status]).toEqual([2, 2]);
    const { failure } = parse<{ readonly failure: Failure }>(told);
    expect(['invalid-document', 'too-large']).toContain(failure.kind);
  });

  it('is refused when it is a directory, a pipe or not there', async () => {
    const directory = path.join(netloom.home, 'directory.yaml');
    mkdirSync(directory);
    const pipe = path.join(netloom.home, 'pipe.yaml');
    spawnSync('mkfifo', [pipe]);
    const missing = path.join(netloom.home, 'missing.yaml');
    for (const file of [directory, pipe, missing, '/dev/zero']) {
      const result = await netloom.run(['up', file, '--yes'], { limit: 20_000 });
      expect(result.stderr).toContain(file);
      expect({ file, status: result.status }).toEqual({ file, status: 2 });
    }
  });

  it('changes nothing', async () => {
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
    expect((await netloom.realms()).map((one) => one.realm)).toEqual(['sandbox:two-namespaces']);
  });
});

describe('usage that is wrong', () => {
  it.each([
    [[]],
    [['raise']],
    [['up']],
    [['up', twoNamespaces, '--frobnicate']],
    [['up', twoNamespaces, '--yes', '--revision', 'x']],
    [['up', twoNamespaces, '--yes', '--realm', 'sandbox:../x']],
    [['up', twoNamespaces, '--yes', '--realm', 'cloud']],
    [['plan', twoNamespaces, '--commands', '--json']],
    [['down']],
    [['down', 'two-namespaces', '--all']],
    [['undo', 'never-heard-of-it']],
    [['check', 'never-heard-of-it']],
    [['exec', 'two-namespaces', 'r1']],
    [['exec', 'two-namespaces', 'r9', '--', 'true']],
    [['agent', 'start']],
  ])('ends with 2: %j', async (args) => {
    const result = await netloom.run(args);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status: 2, stdout: '' });
    expect(result.stderr).not.toBe('');
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });
});

describe('exit status', () => {
  it('is 3 when no agent can be reached', async () => {
    for (const args of [
      ['show', '--realm', 'sandbox:nowhere'],
      ['agent', 'status', '--realm', 'sandbox:nowhere'],
    ]) {
      expect({ args, status: (await netloom.run(args)).status }).toEqual({ args, status: 3 });
    }
  });

  it('is 1 when a check fails, and when nobody confirms', async () => {
    const text = `netloom: 1
name: wrong-check
topology: { nodes: { a: { kind: namespace } } }
checks: [{ check: reach, from: a, to: 10.0.0.9, timeout: 1 }]
`;
    const file = await netloom.write('wrong-check.yaml', text);
    expect((await netloom.run(['up', file])).status).toBe(1);
    const up = await netloom.run(['up', file, '--yes']);
    expect({ status: up.status, out: up.stdout }).toMatchObject({ status: 1 });
    expect(up.stdout).toContain('✗');
    expect((await netloom.run(['check', 'wrong-check'])).status).toBe(1);
    await netloom.must(['down', 'wrong-check']);
  });

  it('is 1 when another file has the name, with both paths, unless it replaces', async () => {
    const { readFileSync } = await import('node:fs');
    const other = await netloom.write('other.yaml', readFileSync(twoNamespaces, 'utf8'));
    const refused = await netloom.run(['up', other, '--yes']);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain(twoNamespaces);
    expect(refused.stderr).toContain(other);
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
    const replaced = await netloom.run(['up', other, '--yes', '--replace', '--json']);
    expect(replaced.status).toBe(0);
    expect(
      parse<{ readonly outcome: { readonly operations: number } }>(replaced).outcome.operations,
    ).toBe(0);
    const back = await netloom.run(['up', twoNamespaces, '--yes', '--replace']);
    expect(back.status).toBe(0);
  });

  it('is that of the command for exec', async () => {
    const result = await netloom.run(['exec', 'two-namespaces', 'r1', '--', 'sh', '-c', 'exit 42']);
    expect(result.status).toBe(42);
  });
});
