import { isMap, isScalar, parse, parseDocument } from 'yaml';
import { fail, labNamePattern, type Result, succeed } from '../../agent/api/index.ts';

/** A lab name as a YAML scalar: quoted where it would read as a number, a boolean or nothing. */
function scalarOf(name: string): string {
  return parse(name) === name ? name : `'${name}'`;
}

/**
 * Gives a lab document another name by replacing that one scalar in its text: comments, order and layout stay as they
 * are to the byte. Fails with `invalid-document` when there is no `name` to replace.
 */
export function renameInText(text: string, name: string, file: string): Result<string> {
  const { contents } = parseDocument(text, { logLevel: 'silent' });
  const node = isMap(contents) ? contents.get('name', true) : undefined;
  const range = isScalar(node) ? node.range : null;
  if (range === null || range === undefined || range[0] === range[1]) {
    return fail({
      kind: 'invalid-document',
      code: 'no-name',
      object: file,
      reason: 'The document has no `name`.',
      next: 'Add a line `name: NAME`.',
      place: { file },
    });
  }
  return succeed(text.slice(0, range[0]) + scalarOf(name) + text.slice(range[1]));
}

/** The document of a lab with nothing in it. */
export function emptyLabText(name: string): string {
  return `netloom: 1\nname: ${scalarOf(name)}\n\ntopology:\n  nodes: {}\n`;
}

/** The name that a document states even when the rest of it is wrong, if it is a lab name. */
export function nameInText(text: string): string | null {
  const { contents } = parseDocument(text, { logLevel: 'silent' });
  const name = isMap(contents) ? contents.get('name') : undefined;
  return typeof name === 'string' && labNamePattern.test(name) ? name : null;
}

/** A lab name made from a file's name, for a file whose document has none. */
export function nameFromFile(baseName: string): string {
  const name = baseName
    .replace(/(?:\.netloom)?\.ya?ml$/i, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 32)
    .replaceAll(/^-+|-+$/g, '');
  return name === '' ? 'unnamed' : name;
}
