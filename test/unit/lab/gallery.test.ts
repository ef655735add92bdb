import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseEndpoint } from '../../../agent/api/document.ts';
import { resolveCheck } from '../../../agent/lab/check.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { planLab } from '../../../agent/lab/plan.ts';
import { emptyInventory } from '../../../agent/api/inventory.ts';

const folder = new URL('../../../assets/labs/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

test('the gallery has a lab for every scene of the notes', () => {
  expect(files).toHaveLength(45);
  expect(files).toContain('two-namespaces.yaml');
});

describe.each(files)('%s', (file) => {
  const text = readFileSync(new URL(file, folder), 'utf8');
  const read = readDocument(text, { file });
  const { document } = read;

  test('has no problems and needs no advice', () => {
    expect(read.problems).toEqual([]);
    expect(read.advice).toEqual([]);
    expect(document?.name).toBe(file.replace('.yaml', ''));
  });

  test('is titled and described in both languages, and every check resolves', () => {
    expect(document?.title).toMatchObject({ en: expect.any(String), zh: expect.any(String) });
    expect(document?.description).toMatchObject({ en: expect.any(String), zh: expect.any(String) });
    expect(document?.checks?.length).toBeGreaterThan(0);
    if (document === null) return;
    for (const check of document.checks ?? []) expect(resolveCheck(document, check).ok).toBe(true);
  });

  test('is drawn with room between its nodes', () => {
    const nodes = Object.entries(document?.topology.nodes ?? {});
    const boxes = nodes.map(([name, node]) => {
      const [x, y] = document?.positions?.[name] ?? [Number.NaN, Number.NaN];
      const [width, height] = node.kind === 'namespace' ? [200, 90] : [240, 48];
      return {
        name,
        left: x - width / 2,
        right: x + width / 2,
        top: y - height / 2,
        bottom: y + height / 2,
      };
    });
    for (const one of boxes) {
      for (const other of boxes) {
        if (one === other) continue;
        const across = Math.max(other.left - one.right, one.left - other.right);
        const down = Math.max(other.top - one.bottom, one.top - other.bottom);
        expect(Math.max(across, down), `${one.name} and ${other.name}`).toBeGreaterThanOrEqual(80);
      }
    }
  });

  test('plans against nothing without a refusal', () => {
    const plan = planLab({ lab: 'lab', desired: document, base: null, inventory: emptyInventory });
    expect(plan.refusals).toEqual([]);
    const pairs = plan.operations.filter((operation) => operation.kind === 'add-veth');
    const isMachine = (end: string): boolean =>
      document?.topology.nodes[parseEndpoint(end).node]?.kind === 'vm';
    const cables = (document?.topology.links ?? []).filter(
      ({ type, endpoints }) => type !== 'tunnel' && type !== 'patch' && !endpoints.some(isMachine),
    );
    expect(pairs).toHaveLength(cables.length);
    for (const link of document?.topology.links ?? []) {
      for (const end of link.endpoints) expect(parseEndpoint(end).interface).not.toBe('');
    }
  });
});
