import { open } from 'node:fs/promises';
import { realpath } from 'node:fs/promises';
import path from 'node:path';

const contentTypes: ReadonlyMap<string, string> = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.json', 'application/json; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.ico', 'image/x-icon'],
  ['.woff2', 'font/woff2'],
  ['.woff', 'font/woff'],
  ['.wasm', 'application/wasm'],
]);

export interface StaticFile {
  readonly body: Buffer;
  readonly type: string;
  /** Its name bears a hash of its content: it never changes. */
  readonly immutable: boolean;
}

/**
 * A file of the built renderer by the path of a URL, or null. Only files below `root` are given out: the path may hold
 * plain names alone, and what it resolves to is checked again after symbolic links. Not compressed: it goes over the
 * loopback, where packing costs more than it saves.
 */
export async function readStaticFile(root: string, urlPath: string): Promise<StaticFile | null> {
  const relative = urlPath === '/' ? 'index.html' : urlPath.slice(1);
  const segments = relative.split('/');
  if (!segments.every((segment) => /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(segment))) return null;
  const type = contentTypes.get(path.extname(relative));
  if (type === undefined) return null;
  try {
    const directory = await realpath(root);
    const file = await realpath(path.join(directory, ...segments));
    if (!file.startsWith(directory + path.sep)) return null;
    const handle = await open(file, 'r');
    try {
      if (!(await handle.stat()).isFile()) return null;
      return {
        body: await handle.readFile(),
        type,
        // Vite's names: `assets/NAME-HASH.EXTENSION`.
        immutable: segments[0] === 'assets' && /-[A-Za-z0-9_-]{8}\.\w+$/.test(relative),
      };
    } finally {
      await handle.close();
    }
  } catch {
    return null;
  }
}
