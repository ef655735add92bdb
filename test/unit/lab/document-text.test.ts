import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { documentJsonSchema } from '../../../agent/lab/json-schema.ts';
import { parseDocument, readDocument } from '../../../agent/lab/document-text.ts';

/** Each problem as `LINE:COLUMN OBJECT CODE`. */
function problemsOf(text: string): readonly string[] {
  return readDocument(text, { file: 'lab.yaml' }).problems.map(
    ({ place, object, code }) => `${place?.line}:${place?.column} ${object} ${code}`,
  );
}

const head = 'netloom: 1\nname: lab\ntopology:\n';

describe('the text of a document', () => {
  test('is refused above 1 MiB', () => {
    expect(parseDocument(`# ${'é'.repeat(530_000)}`).problems).toMatchObject([
      { code: 'document-too-large', values: { limit: 1_048_576 } },
    ]);
  });

  test('is refused when it is not YAML, at the place', () => {
    expect(problemsOf('netloom: 1\nname: [a\n')).toEqual(['3:1 lab.yaml yaml-syntax']);
    expect(problemsOf('netloom: 1\n\tname: a\n')).toEqual(['2:1 lab.yaml yaml-syntax']);
    expect(problemsOf('')).toEqual(['1:1 lab.yaml document-empty']);
  });

  test('is refused when it would be large only after its aliases expand', () => {
    const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let at = 1; at < 9; at += 1) {
      const row = Array.from({ length: 10 }, () => `*a${at - 1}`).join(', ');
      rows.push(`a${at}: &a${at} [${row}]`);
    }
    expect(problemsOf(rows.join('\n'))).toEqual(['undefined:undefined lab.yaml yaml-aliases']);
  });

  test.each(['['.repeat(500_000), '- '.repeat(400_000), '{a: '.repeat(200_000)])(
    'is refused when it nests without end',
    (text) => {
      expect(parseDocument(text).problems.map(({ code }) => code)).toEqual(['yaml-nesting']);
    },
  );

  test('may use names that objects have by nature, but not __proto__', () => {
    const { document, problems } = readDocument(
      `${head}  nodes:\n    constructor: { kind: namespace }\n`,
    );
    expect(problems).toEqual([]);
    expect(Object.keys(document?.topology.nodes ?? {})).toEqual(['constructor']);
    expect(problemsOf(`${head}  nodes:\n    __proto__: { kind: namespace }\n`)).toEqual([
      '5:5 lab.yaml unsafe-key',
    ]);
    expect(
      problemsOf(`${head}  nodes: {}\n  links: [{ endpoints: ['toString:a', 'valueOf:b'] }]\n`),
    ).toEqual(['5:25 toString:a unknown-node', '5:39 valueOf:b unknown-node']);
  });

  test('names duplicate and unknown keys, wrong types and bad names with their places', () => {
    expect(problemsOf(`${head}  nodes: {}\nname: again\n`)).toEqual(['5:1 lab.yaml duplicate-key']);
    const text = `${head}  nodes:
    r1:
      kind: namespace
      interfaces:
        veth1.1: { adresses: [10.0.0.1/24], mtu: '1500' }
        a%d: {}
        -x: {}
        sixteen-letters-: {}
  links:
    - endpoints: ['r1:veth1.1', 'r1']
titel: x
`;
    expect([...problemsOf(text)].sort()).toEqual(
      [
        '8:50 r1:veth1.1 wrong-type',
        '8:20 r1:veth1.1 unknown-key-near',
        '9:9 a%d name-with-pattern',
        '10:9 -x name-starts-wrong',
        '11:9 sixteen-letters- name-too-long',
        '13:33 r1:veth1.1 — r1 not-an-endpoint',
        '14:1 lab.yaml unknown-key-near',
      ].sort(),
    );
  });

  test('has at most 100 problems reported', () => {
    const nodes = Array.from({ length: 300 }, (_, at) => `    n${at}: { kind: wrong }`).join('\n');
    const { problems } = parseDocument(`${head}  nodes:\n${nodes}\n`);
    expect(problems).toHaveLength(100);
    expect(problems.at(-1)?.code).toBe('too-many-problems');
  });

  test('never throws', () => {
    const line = fc.constantFrom(
      'netloom: 1',
      'name: a',
      'topology:',
      '  nodes:',
      '    r1:',
      '- &a *a',
      '? [x]',
      '<<: *a',
      '!!set {a}',
      '    - ',
      '%YAML 1.1',
      '---',
      '"',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(line).map((lines) => lines.join('\n')),
        ),
        (text) => {
          expect(readDocument(text).document).toBeNull();
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('what a document means', () => {
  const pair = (left: string, right: string, rest = ''): string => `${head}  nodes:
    r1: { kind: namespace, interfaces: { e: { ${left} } } }
    r2: { kind: namespace, interfaces: { e: { ${right} } } }
  links: [{ endpoints: ['r1:e', 'r2:e'] }]
${rest}`;

  test('an address is on one interface of a broadcast domain', () => {
    const text = pair('addresses: [172.16.0.1/24]', 'addresses: [172.16.0.1/16]');
    expect(readDocument(text).problems).toMatchObject([
      {
        kind: 'invalid-document',
        code: 'duplicate-address',
        object: 'r2:e',
        reason: 'Address 172.16.0.1/16 is already on r1:e.',
        place: { line: 6, path: 'topology.nodes.r2.interfaces.e.addresses.0' },
      },
    ]);
  });

  test.each([
    ['addresses: [10.0.0.1]', 'address-without-prefix'],
    ['addresses: [10.0.0.1/33]', 'prefix-out-of-range'],
    ['addresses: [10.0.0.256/24]', 'invalid-address'],
    ['addresses: [010.0.0.1/24]', 'invalid-address'],
    ["addresses: ['::ffff:10.0.0.1/96']", 'special-address'],
    ['addresses: [127.0.0.1/8]', 'special-address'],
    ["addresses: ['ff02::1/64']", 'special-address'],
    ["mac: '01:00:5e:00:00:01'", 'unusable-mac'],
    ["mac: '00:00:00:00:00:00'", 'unusable-mac'],
    ["mtu: 1200, addresses: ['fd00::1/64']", 'mtu-too-small-for-ipv6'],
  ])('%s is %s', (settings, code) => {
    expect(readDocument(pair(settings, '')).problems.map((problem) => problem.code)).toEqual([
      code,
    ]);
  });

  test('a gateway is in a subnet of its node', () => {
    const text = `${head}  nodes:
    r1: { kind: namespace, interfaces: { e: { addresses: [10.0.0.1/24] } }, routes: [{ to: default, via: 10.0.1.1 }] }
    r2: { kind: namespace }
  links: [{ endpoints: ['r1:e', 'r2:e'] }]
`;
    expect(readDocument(text).problems).toMatchObject([
      { code: 'gateway-outside-subnets', reason: 'The gateway 10.0.1.1 is in no subnet of r1.' },
    ]);
  });

  test('a loop of bridges needs one that runs STP', () => {
    const ring = (stp: boolean): string => `${head}  nodes:
    b1: { kind: bridge, stp: ${stp} }
    b2: { kind: bridge }
  links:
    - endpoints: ['b1:x1', 'b2:x2']
    - endpoints: ['b1:y1', 'b2:y2']
`;
    expect(problemsOf(ring(false))).toEqual(['9:7 b1:y1 — b2:y2 bridge-loop']);
    expect(problemsOf(ring(true))).toEqual([]);
  });

  test('odd but possible things are advice', () => {
    const text = pair(
      'addresses: [10.0.0.0/24], mtu: 1400',
      'addresses: [10.0.0.255/24]',
      'positions: { nobody: [0, 0] }\n',
    );
    const { problems, advice } = readDocument(text);
    expect(problems).toEqual([]);
    expect(advice.map(({ code }) => code)).toEqual([
      'mtu-mismatch',
      'network-address',
      'broadcast-address',
      'position-of-unknown-node',
    ]);
  });

  test('a bridge has at most 1023 ports', () => {
    const hosts = Array.from({ length: 1024 }, (_, at) => at);
    const text = `${head}  nodes:
    br0: { kind: bridge }
    h: { kind: namespace }
  links:
${hosts.map((at) => `    - endpoints: ['h:e${at}', 'br0:p${at}']`).join('\n')}
`;
    expect(problemsOf(text)).toEqual(['5:5 br0 too-many-ports']);
  });
});

test('the JSON Schema names the kinds of nodes', () => {
  const text = JSON.stringify(documentJsonSchema());
  expect(text).toContain('"const":"bridge"');
  expect(text).toContain('"const":"namespace"');
});
