import path from 'node:path';
import type { Directories } from '../agent-link/directories.ts';

export interface LibraryDirectories {
  /** New labs are kept here. */
  readonly labs: string;
  /** Captures are saved here. */
  readonly captures: string;
  /** Labs opened elsewhere: their paths, the latest first. */
  readonly recentFile: string;
  readonly settingsFile: string;
  /** Labs that come with Netloom. */
  readonly gallery: string;
}

export function libraryDirectories(
  directories: Pick<Directories, 'data' | 'labs' | 'config'>,
  applicationRoot: string,
): LibraryDirectories {
  return {
    labs: directories.labs,
    captures: path.join(directories.data, 'captures'),
    recentFile: path.join(directories.data, 'recent.json'),
    settingsFile: path.join(directories.config, 'settings.json'),
    gallery: path.join(applicationRoot, 'assets/labs'),
  };
}
