import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { mutate, mutations, refusedMutations } from '../../harness/lab-mutations.ts';
import { readGallery } from '../../harness/lab-needs.ts';
import { gallery } from '../../harness/netloom.ts';

const files = readdirSync(gallery).filter((name) => name.endsWith('.yaml'));

test('every lab of the gallery has mutations', () => {
  expect(Object.keys(mutations).sort()).toEqual(files.sort());
});

describe.each(files)('%s', (file) => {
  const text = readGallery(file);

  test('every check of it is one that a mutation turns red', () => {
    const checks = readDocument(text).document?.checks ?? [];
    const red = new Set((mutations[file] ?? []).flatMap((mutation) => mutation.red));
    expect([...red].sort((a, b) => a - b)).toEqual(checks.map((_, index) => index));
  });

  test.each(mutations[file] ?? [])('is still a lab when $what', ({ edits }) => {
    expect(readDocument(mutate(text, edits)).problems).toEqual([]);
  });

  test.each(refusedMutations[file] ?? [])('is refused when $what', ({ edits, code }) => {
    const { problems } = readDocument(mutate(text, edits));
    expect(problems.map((problem) => problem.code)).toEqual([code]);
  });
});
