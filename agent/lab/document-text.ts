import {
  Composer,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  Lexer,
  LineCounter,
  Parser,
  visit,
} from 'yaml';
import type { CST, Document, Node, YAMLMap } from 'yaml';
import type { z } from 'zod';
import { LabDocumentSchema } from '../api/document.ts';
import type { LabDocument } from '../api/document.ts';
import { reservedInterfaceNames } from '../api/names.ts';
import { nearestWord } from '../api/nearest-word.ts';
import type { Failure, Place } from '../api/result.ts';
import { maximumDocumentSize } from '../api/version.ts';
import { failureOf } from './sentences.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';
import { type Advice, type DocumentPath, type Locate, pathText } from './findings.ts';
import { validateDocument } from './validate.ts';

export interface ParsedDocument {
  readonly document: LabDocument | null;
  readonly problems: readonly Failure[];
  /** The place in the text of a path of the document, or of its nearest ancestor. */
  readonly locate: Locate;
}

export interface ReadDocument {
  /** Null when there are problems. */
  readonly document: LabDocument | null;
  readonly problems: readonly Failure[];
  readonly advice: readonly Advice[];
}

export interface ParseOptions {
  /** Named in the places of problems. */
  readonly file?: string | undefined;
}

const maximumProblems = 100;
/** How often aliases may expand in all; a lab of a thousand alike nodes stays below. */
const maximumAliases = 10_000;
/** Open collections; a document of ours has fewer than ten. */
const maximumDepth = 64;

/** Parses and validates: what everyone but an editor wants. */
export function readDocument(text: string, options: ParseOptions = {}): ReadDocument {
  const parsed = parseDocument(text, options);
  if (parsed.document === null) return { document: null, problems: parsed.problems, advice: [] };
  const validation = validateDocument(parsed.document, parsed.locate);
  const [problems, advice] = [byPlace(validation.problems), byPlace(validation.advice)];
  return { document: problems.length === 0 ? parsed.document : null, problems, advice };
}

/** In the order of the text; what has the same place keeps its order. */
function byPlace<T extends { readonly place?: Place | undefined }>(
  items: readonly T[],
): readonly T[] {
  const line = ({ place }: T): number => place?.line ?? 0;
  const column = ({ place }: T): number => place?.column ?? 0;
  return [...items].sort((a, b) => line(a) - line(b) || column(a) - column(b));
}

/** YAML 1.2 and the schema: what a document is, not yet what it means. Never throws, whatever the text. */
export function parseDocument(text: string, options: ParseOptions = {}): ParsedDocument {
  const lines = new LineCounter();
  const source = new Source(options.file, lines);
  const bytes = utf8Length(text);
  if (bytes > maximumDocumentSize) {
    source.report('document-too-large', { bytes, limit: maximumDocumentSize });
    return source.failed();
  }
  try {
    return source.parse(text);
  } catch (error) {
    if (!(error instanceof NestingError)) throw error;
    source.report('yaml-nesting', {});
    return source.failed();
  }
}

class Source {
  private readonly file: string | undefined;
  private readonly lines: LineCounter;
  private readonly problems: Failure[] = [];
  private root: Document | null = null;
  private labels: Labels = { data: undefined };

  constructor(file: string | undefined, lines: LineCounter) {
    this.file = file;
    this.lines = lines;
  }

  parse(text: string): ParsedDocument {
    const composer = new Composer({
      prettyErrors: false,
      version: '1.2',
      schema: 'core',
      merge: false,
      uniqueKeys: false,
      logLevel: 'silent',
    });
    const [root, second] = [...composer.compose(boundedTokens(text, this.lines))];
    if (root === undefined || root.contents === null) {
      for (const error of root?.errors ?? []) this.reportSyntax(error.message, error.pos[0]);
      if (this.problems.length === 0) this.report('document-empty', {}, this.placeAt(0));
      return this.failed();
    }
    this.root = root;
    for (const error of root.errors) this.reportSyntax(error.message, error.pos[0]);
    if (second !== undefined) {
      const place = this.placeAt(second.range[0]);
      this.report('yaml-multiple-documents', {}, place);
    }
    if (this.problems.length > 0) return this.failed();
    this.checkKeys(root);
    if (this.problems.length > 0) return this.failed();
    this.checkAliases(root);
    if (this.problems.length > 0) return this.failed();

    const data = this.plainData(root);
    if (data === undefined) return this.failed();
    this.labels = { data };
    const result = LabDocumentSchema.safeParse(data);
    if (result.success) {
      return { document: result.data, problems: [], locate: (path) => this.locate(path) };
    }
    for (const issue of result.error.issues) this.reportIssue(issue, [], data);
    return this.failed();
  }

  failed(): ParsedDocument {
    return { document: null, problems: this.problems, locate: (path) => this.locate(path) };
  }

  report(code: SentenceCode, values: SentenceValues, place?: Place, object?: string): void {
    if (this.problems.length >= maximumProblems) return;
    const isLast = this.problems.length === maximumProblems - 1;
    const subject = isLast ? undefined : object;
    this.problems.push(
      failureOf(
        'invalid-document',
        isLast ? 'too-many-problems' : code,
        subject ?? this.file ?? 'document',
        isLast ? { limit: maximumProblems - 1 } : values,
        { ...(this.file === undefined ? {} : { file: this.file }), ...place },
      ),
    );
  }

  // YAML

  private reportSyntax(message: string, offset: number): void {
    const [first = ''] = message.split('\n');
    const sentence = first.replace(/[.:]+$/, '');
    this.report('yaml-syntax', { message: sentence }, this.placeAt(offset));
  }

  /** Keys given twice, also in other spellings (`1` and `"1"`), and keys that would change an object itself. */
  private checkKeys(root: Document): void {
    visit(root, {
      Map: (_, map: YAMLMap) => {
        const seen = new Set<string>();
        for (const { key } of map.items) {
          const place = this.placeAt(rangeOf(key)?.[0] ?? rangeOf(map)?.[0] ?? 0);
          if (!isScalar(key)) {
            this.report('unsafe-key', { key: 'A list, map or alias' }, place);
            continue;
          }
          const text = String(key.value);
          if (text === '__proto__') this.report('unsafe-key', { key: text }, place);
          if (seen.has(text)) this.report('duplicate-key', { key: text }, place);
          seen.add(text);
        }
      },
    });
  }

  /** How often aliases expand in all, counted without expanding them; yaml's own count only sees each anchor. */
  private checkAliases(root: Document): void {
    const sizes = new Map<Node, number>();
    let total = 0;
    const sizeOf = (node: unknown): number => {
      if (isAlias(node)) {
        const target = node.resolve(root);
        const size =
          target === undefined ? Number.POSITIVE_INFINITY : (sizes.get(target) ?? Infinity);
        total += size;
        return size;
      }
      if (!isCollection(node)) return 1;
      let size = 1;
      for (const item of node.items) {
        size += isMap(node) ? sizeOf((item as { value: unknown }).value) : sizeOf(item);
      }
      sizes.set(node, size);
      return size;
    };
    sizeOf(root.contents);
    if (total > maximumAliases * 10) this.report('yaml-aliases', {});
  }

  private plainData(root: Document): unknown {
    try {
      return root.toJS({ maxAliasCount: maximumAliases }) as unknown;
    } catch (error) {
      // yaml refuses aliases that expand too often, or to nothing, with a ReferenceError.
      if (!(error instanceof ReferenceError)) throw error;
      this.report('yaml-aliases', {});
      return undefined;
    }
  }

  // Places

  private placeAt(offset: number): Place {
    const { line, col } = this.lines.linePos(offset);
    return line < 1 ? {} : { line, column: Math.max(1, col) };
  }

  /** With `atKey` the key that leads to the value, not the value. */
  private locate(path: DocumentPath, atKey = false): Place {
    const place = { ...(this.file === undefined ? {} : { file: this.file }), path: pathText(path) };
    let node: unknown = this.root?.contents;
    let offset = rangeOf(node)?.[0] ?? 0;
    for (const [depth, step] of path.entries()) {
      if (isAlias(node) && this.root !== null) node = node.resolve(this.root);
      if (!isCollection(node)) break;
      if (isMap(node)) {
        const pair = node.items.find(
          ({ key }) => isScalar(key) && String(key.value) === String(step),
        );
        if (pair === undefined) break;
        const last = depth === path.length - 1;
        const value = rangeOf(pair.value);
        // A block map begins on the line below its key; the key is what a person looks for.
        const keyRange = rangeOf(pair.key);
        const useKey = (last && atKey) || value === undefined || isCollection(pair.value);
        offset = (useKey ? keyRange?.[0] : value[0]) ?? offset;
        node = pair.value;
      } else {
        const item: unknown = node.items[Number(step)];
        if (item === undefined) break;
        offset = rangeOf(item)?.[0] ?? offset;
        node = item;
      }
    }
    return { ...place, ...this.placeAt(offset) };
  }

  // The schema

  private reportIssue(issue: z.core.$ZodIssue, prefix: DocumentPath, data: unknown): void {
    const path = [...prefix, ...issue.path.map((step) => (typeof step === 'symbol' ? '' : step))];
    const value = valueAt(data, path);
    const say = (code: SentenceCode, values: SentenceValues, atKey = false): void => {
      this.report(
        code,
        values,
        this.locate(path, atKey),
        objectAt(this.labels.data, path, this.file),
      );
    };
    switch (issue.code) {
      case 'unrecognized_keys':
        for (const key of issue.keys) {
          const at = [...path, key];
          const place = this.locate(at, true);
          const near = nearestWord(key, knownKeysAt(path, value));
          const object = objectAt(this.labels.data, path, this.file);
          if (near === null) this.report('unknown-key', { key }, place, object);
          else this.report('unknown-key-near', { key, near }, place, object);
        }
        return;
      case 'invalid_type':
        if (value === undefined) {
          const parent = path.slice(0, -1);
          const place = this.locate(parent, true);
          const object = objectAt(this.labels.data, parent, this.file);
          this.report('missing-key', { key: String(path.at(-1) ?? '') }, place, object);
        } else if (issue.expected === 'string' && typeof value !== 'object') {
          say('number-for-text', { actual: nameOf(value) });
        } else if (typeof value === 'number' && !Number.isFinite(value)) {
          say('not-finite', { value: String(value) });
        } else say('wrong-type', { actual: nameOf(value), expected: nameOfType(issue.expected) });
        return;
      case 'invalid_value': {
        const choices = issue.values.map((choice) => `\`${String(choice)}\``).join(', ');
        if (value === undefined) {
          const parent = path.slice(0, -1);
          const place = this.locate(parent, true);
          const object = objectAt(this.labels.data, parent, this.file);
          this.report('missing-key', { key: String(path.at(-1) ?? '') }, place, object);
        } else say('wrong-choice', { value: shown(value), choices });
        return;
      }
      case 'invalid_union': {
        const key = issue.discriminator;
        if (key !== undefined) {
          // The issue's path ends with the discriminator.
          const parent = path.at(-1) === key ? path.slice(0, -1) : path;
          const given = valueAt(data, [...parent, key]);
          const object = objectAt(this.labels.data, parent, this.file);
          const place = this.locate(
            given === undefined ? parent : [...parent, key],
            given === undefined,
          );
          if (given === undefined) this.report('missing-key', { key }, place, object);
          else {
            const choices = discriminatorChoices(key);
            this.report('wrong-choice', { value: shown(given), choices }, place, object);
          }
          return;
        }
        // The only plain union is a text in one language or in several.
        const [branch] = issue.errors.filter((errors) =>
          errors.some((error) => error.code !== 'invalid_type' || error.path.length > 0),
        );
        if (branch === undefined || branch.length === 0) {
          const expected = 'a text, or texts by language (`en`, `zh`)';
          say('wrong-type', { actual: nameOf(value), expected });
        } else for (const error of branch) this.reportIssue(error, path, data);
        return;
      }
      case 'invalid_key': {
        const key = String(path.at(-1) ?? '');
        this.reportName(key, path, true);
        return;
      }
      case 'too_big':
      case 'too_small':
        this.reportSize(issue, path, value);
        return;
      default:
        if (typeof value === 'string' && this.reportString(value, path)) return;
        if (typeof value === 'string') {
          say('wrong-format', { value: shown(value), rule: issue.message });
        } else say('wrong-value', { rule: issue.message });
    }
  }

  private reportSize(
    issue: Extract<z.core.$ZodIssue, { readonly code: 'too_big' | 'too_small' }>,
    path: DocumentPath,
    value: unknown,
  ): void {
    const tooBig = issue.code === 'too_big';
    const limit = String(tooBig ? issue.maximum : issue.minimum);
    const place = this.locate(path);
    const object = objectAt(this.labels.data, path, this.file);
    if (typeof value === 'number') {
      if (path[0] === 'cpu' && path.at(-1) === 'cap' && !tooBig) {
        const values = { group: object, cores: value, least: limit };
        this.report('cpu-cap-too-small', values, place, object);
        return;
      }
      const direction = tooBig ? 'above' : issue.inclusive === false ? 'not above' : 'below';
      this.report('out-of-range', { value, direction, limit }, place, object);
      return;
    }
    const unit = typeof value === 'string' ? 'characters' : 'entries';
    const direction = tooBig ? 'more than' : 'fewer than';
    const remedy = tooBig ? 'shorter' : 'longer';
    this.report('wrong-length', { direction, limit, unit, remedy }, place, object);
  }

  /** Says what exactly is wrong with a name or an endpoint; false when the string is something else. */
  private reportString(value: string, path: DocumentPath): boolean {
    const [first, , third] = path;
    const last = path.at(-1);
    const place = this.locate(path);
    const object = objectAt(this.labels.data, path, this.file);
    if (first === 'name' && path.length === 1) {
      this.report('invalid-lab-name', { name: value }, place, object);
      return true;
    }
    if (last === 'mac') {
      this.report('invalid-mac', { mac: value }, place, object);
      return true;
    }
    if (path.at(-2) === 'endpoints') {
      const parts = value.split(':');
      const bad = parts.find((part) => problemOfName(part) !== null);
      if (parts.length !== 2 || bad === undefined) {
        this.report('not-an-endpoint', { value }, place, object);
      } else this.reportName(bad, path, false);
      return true;
    }
    const isName =
      last === 'dev' || last === 'from' || (last === 'namespace' && third !== undefined);
    if (isName) this.reportName(value, path, false);
    return isName;
  }

  private reportName(name: string, path: DocumentPath, atKey: boolean): void {
    const place = this.locate(path, atKey);
    const parent = path.slice(0, -1);
    const object = atKey ? name : objectAt(this.labels.data, parent, this.file);
    if (path[0] === 'cpu') {
      this.report('cpu-group-name', { name }, place, object === '' ? 'name' : object);
      return;
    }
    const problem = problemOfName(name) ?? 'name-characters';
    this.report(problem, { name, length: name.length }, place, object === '' ? 'name' : object);
  }
}

interface Labels {
  readonly data: unknown;
}

/** Why a name does not do for an interface or namespace; null when it does. */
export function problemOfName(name: string): SentenceCode | null {
  if (name === '') return 'name-empty';
  if (name.includes('%')) return 'name-with-pattern';
  if (!/^[A-Za-z0-9]/.test(name)) return 'name-starts-wrong';
  if (!/^[A-Za-z0-9_.-]+$/.test(name)) return 'name-characters';
  if (name.length > 15) return 'name-too-long';
  return reservedInterfaceNames.has(name) ? 'name-reserved' : null;
}

/** What a path is about, as a person calls it: `r1`, `r1:veth1.1`, `link 3`, `check 1`. */
function objectAt(data: unknown, path: DocumentPath, file: string | undefined): string {
  const [first, second, third, fourth, fifth] = path;
  if (first === 'topology' && second === 'nodes' && third !== undefined) {
    const inner = (fourth === 'interfaces' || fourth === 'ports') && fifth !== undefined;
    return inner ? `${third}:${fifth}` : String(third);
  }
  if (first === 'topology' && second === 'links' && typeof third === 'number') {
    const endpoints = valueAt(data, ['topology', 'links', third, 'endpoints']);
    const texts = Array.isArray(endpoints)
      ? endpoints.filter((endpoint): endpoint is string => typeof endpoint === 'string')
      : [];
    return texts.length === 2 ? texts.join(' — ') : `link ${third + 1}`;
  }
  if (first === 'checks' && typeof second === 'number') return `check ${second + 1}`;
  if (first === 'cpu' && third !== undefined) return cpuGroupAt(path);
  if (first === 'positions' && second !== undefined) return String(second);
  if (first !== undefined) return pathText(path);
  return file ?? 'document';
}

/** `cpu.groups.A.groups.A1.cap` is about `A/A1`. */
function cpuGroupAt(path: DocumentPath): string {
  const names: (string | number)[] = [];
  for (let at = 1; path[at] === 'groups' && path[at + 1] !== undefined; at += 2) {
    names.push(path[at + 1] ?? '');
  }
  return names.join('/');
}

function valueAt(data: unknown, path: DocumentPath): unknown {
  let value: unknown = data;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) {
      return undefined;
    }
    value = Reflect.get(value, step);
  }
  return value;
}

function nameOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return `the text ${shown(value)}`;
  if (typeof value === 'number') return `the number ${String(value)}`;
  return typeof value === 'boolean' ? `the truth value ${String(value)}` : `a ${typeof value}`;
}

const typeNames: ReadonlyMap<string, string> = new Map([
  ['string', 'text'],
  ['number', 'a number'],
  ['int', 'a whole number'],
  ['boolean', '`true` or `false`'],
  ['array', 'a list'],
  ['tuple', 'a list'],
  ['object', 'a map'],
  ['record', 'a map'],
]);

function nameOfType(type: string): string {
  return typeNames.get(type) ?? type;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return `\`${text.length > 60 ? `${text.slice(0, 59)}…` : text}\``;
}

function discriminatorChoices(key: string): string {
  return key === 'kind' ? '`namespace`, `bridge`' : '`reach`';
}

/** Keys that a place of the document takes, for suggestions only. */
function knownKeysAt(path: DocumentPath, value: unknown): readonly string[] {
  const [first, second] = path;
  const inner = path.at(-2);
  if (path.length === 0) {
    return ['netloom', 'name', 'title', 'description', 'topology', 'cpu', 'checks', 'positions'];
  }
  if (first === 'topology' && path.length === 1) return ['nodes', 'links'];
  if (first === 'checks') return ['check', 'name', 'from', 'to', 'expect', 'timeout'];
  if (first === 'cpu') {
    return path.length === 1
      ? ['cores', 'groups']
      : ['cap', 'period', 'burst', 'weight', 'idle', 'pins', 'partition', 'groups'];
  }
  if (second === 'links') return ['endpoints', 'mtu'];
  if (inner === 'routes') return ['to', 'via', 'dev', 'metric'];
  if (inner === 'interfaces') return ['addresses', 'mac', 'mtu', 'state'];
  if (inner === 'ports') return ['mac', 'mtu', 'state'];
  if (second === 'nodes' && path.length === 3) {
    const kind = valueAt(value, ['kind']);
    if (kind === 'internet') return ['kind', 'title', 'interfaces'];
    return kind === 'bridge'
      ? ['kind', 'title', 'namespace', 'addresses', 'mac', 'mtu', 'state', 'stp', 'ports']
      : ['kind', 'title', 'loopback', 'interfaces', 'routes'];
  }
  return [];
}

function rangeOf(node: unknown): readonly [number, number, number] | undefined {
  if (!isScalar(node) && !isCollection(node) && !isAlias(node)) return undefined;
  return node.range ?? undefined;
}

class NestingError extends Error {}

/** Tokens as yaml's own parser makes them; stops before its recursive parts see a nesting that would end them. */
function* boundedTokens(text: string, lines: LineCounter): Generator<CST.Token, void> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    yield* parser.next(lexeme);
    if (parser.stack.length > maximumDepth) throw new NestingError();
  }
  yield* parser.end();
}

/** Bytes of UTF-8, without an encoder: it is not part of the language. */
function utf8Length(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7ff) length += 2;
    else if (unit > 0x7f) length += 1;
    // Each half of a surrogate pair counts two of the four bytes.
    if (unit >= 0xd800 && unit <= 0xdfff) length -= 1;
  }
  return length;
}
