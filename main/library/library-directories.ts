import { homedir } from 'node:os';
import path from 'node:path';

export interface LibraryDirectories {
  /** New labs are kept here. */
  readonly labs: string;
  /** Labs opened elsewhere: their paths, the latest first. */
  readonly recentFile: string;
  readonly settingsFile: string;
  /** Labs that come with Netloom. */
  readonly gallery: string;
}

/** A directory of the XDG Base Directory Specification: absolute, or its default. */
function baseDirectory(value: string | undefined, fallback: string): string {
  return value !== undefined && path.isAbsolute(value) ? value : path.join(homedir(), fallback);
}

export function libraryDirectories(
  applicationRoot: string,
  environment: NodeJS.ProcessEnv = process.env,
): LibraryDirectories {
  const data = path.join(baseDirectory(environment['XDG_DATA_HOME'], '.local/share'), 'netloom');
  const config = path.join(baseDirectory(environment['XDG_CONFIG_HOME'], '.config'), 'netloom');
  return {
    labs: path.join(data, 'labs'),
    recentFile: path.join(data, 'recent.json'),
    settingsFile: path.join(config, 'settings.json'),
    gallery: path.join(applicationRoot, 'assets/labs'),
  };
}
