/** Start line and header of HTTP/1 (RFC 9112), as far as a segment has them. */
import type { Protocol } from '../core/dissection.ts';
import { type FieldType, group, text, unsigned } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { latinText } from '../core/octets.ts';

const methods = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'NOTIFY',
  'M-SEARCH',
  'PROPFIND',
] as const;
const longestMethod = Math.max(...methods.map(({ length }) => length));

const requestMethod = text('http.request.method', 'Method');
const requestUri = text('http.request.uri', 'Target');
const requestVersion = text('http.request.version', 'Version');
const responseVersion = text('http.response.version', 'Version');
const responseCode = unsigned('http.response.code', 'Status');
const responsePhrase = text('http.response.phrase', 'Reason');
const headerLine = group('http.header', 'Header');
const headerName = text('http.header.name', 'Name');
const headerValue = text('http.header.value', 'Value');

const [space, colon, newline, carriageReturn] = [0x20, 0x3a, 0x0a, 0x0d];
/** Bytes of a header that are looked at: more than servers take. */
const longestHeader = 65_536;

/** Whether it begins as a request or a response does. */
export function looksLikeHttp(bytes: Uint8Array, at: number): boolean {
  const start = latinText(bytes, at, Math.min(longestMethod + 1, bytes.length - at));
  if (start.startsWith('HTTP/1.')) return true;
  return methods.some((method) => start.startsWith(`${method} `));
}

/** Where the line at `at` ends, without its end; -1 where the end is not there. */
function lineEnd(bytes: Uint8Array, at: number, end: number): number {
  const found = bytes.subarray(at, end).indexOf(newline);
  if (found < 0) return -1;
  return at + found - (bytes[at + found - 1] === carriageReturn && found > 0 ? 1 : 0);
}

function wordEnd(bytes: Uint8Array, at: number, end: number, mark: number): number {
  const found = bytes.subarray(at, end).indexOf(mark);
  return found < 0 ? end : at + found;
}

function isResponse(bytes: Uint8Array, at: number): boolean {
  return latinText(bytes, at, 5) === 'HTTP/';
}

/** Three words, of which the last one may hold blanks; those that are there whole, where the line has no end. */
function describeStart(tree: FieldTree, end: number, isWhole: boolean): void {
  const { bytes, at } = tree;
  const [versionType, targetType, lastType] = isResponse(bytes, at)
    ? [responseVersion, responseCode, responsePhrase]
    : [requestMethod, requestUri, requestVersion];
  const first = wordEnd(bytes, at, end, space);
  if (first < end || isWhole) add(tree, versionType, at, first);
  const from = Math.min(end, first + 1);
  const second = wordEnd(bytes, from, end, space);
  if (second < end || isWhole) {
    const word = latinText(bytes, from, second - from);
    if (targetType !== responseCode) add(tree, targetType, from, second);
    else if (/^\d{3}$/.test(word)) tree.add(targetType, from, second - from, Number(word));
  }
  if (isWhole) add(tree, lastType, Math.min(end, second + 1), end);
}

/** Nothing for no text at all. */
function add(tree: FieldTree, type: FieldType, from: number, to: number): void {
  if (to > from) tree.add(type, from, to - from, latinText(tree.bytes, from, to - from));
}

export const hypertext: Protocol = {
  name: 'http',
  title: 'HTTP',
  minimum: 4,
  fields: [
    requestMethod,
    requestUri,
    requestVersion,
    responseVersion,
    responseCode,
    responsePhrase,
    headerLine,
    headerName,
    headerValue,
  ],
  enter(packet, layer) {
    const { bytes } = packet;
    const end = Math.min(layer.end, bytes.length, layer.start + longestHeader);
    for (let at = layer.start; at < end;) {
      const until = lineEnd(bytes, at, end);
      if (until < 0) return;
      const next = until + (bytes[until] === carriageReturn ? 2 : 1);
      if (until === at) {
        layer.headerEnd = next;
        return;
      }
      at = next;
    }
  },
  describe(tree, layer) {
    const end = Math.min(tree.end, layer.start + longestHeader);
    for (let isStart = true; tree.left > 0; isStart = false) {
      const { bytes, at } = tree;
      const found = lineEnd(bytes, at, end);
      const until = found < 0 ? end : found;
      const next = found < 0 ? end : found + (bytes[found] === carriageReturn ? 2 : 1);
      if (isStart) {
        describeStart(tree, until, found >= 0);
        tree.skip(next - at);
      } else if (until > at) {
        tree.group(headerLine, () => {
          const mark = wordEnd(bytes, at, until, colon);
          if (mark < until) {
            tree.name(null, latinText(bytes, at, mark - at));
            add(tree, headerName, at, mark);
          }
          let from = Math.min(until, mark + 1);
          while (from < until && bytes[from] === space) from += 1;
          if (found >= 0) add(tree, headerValue, from, until);
          tree.skip(next - at);
        });
      }
      if (found < 0) {
        // The rest comes in another segment, unless it was cut off.
        if (tree.left > 0) tree.incomplete();
        return;
      }
      if (until === at) return;
    }
  },
  info({ bytes }, { start, end }) {
    const until = lineEnd(bytes, start, Math.min(end, bytes.length, start + 2048));
    const stop = until < 0 ? Math.min(end, bytes.length, start + 200) : until;
    return latinText(bytes, start, stop - start);
  },
};
