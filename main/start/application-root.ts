import { existsSync } from 'node:fs';
import path from 'node:path';

/** The directory of package.json: two above a bundle in dist/main, and two above a source folder of main. */
export function findApplicationRoot(): string {
  let directory = import.meta.dirname;
  while (!existsSync(path.join(directory, 'package.json'))) {
    const above = path.dirname(directory);
    if (above === directory) throw new Error('there is no package.json above the program');
    directory = above;
  }
  return directory;
}
