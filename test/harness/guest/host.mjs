/** The machine that a guest runs on: its programs, and a place for what is unpacked once. */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The guest cannot be had on this machine; the message is one sentence that says why. */
export class GuestUnavailable extends Error {}

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** As one word of sh(1). */
export const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function findProgram(name) {
  return systemPath
    .split(':')
    .map((directory) => path.join(directory, name))
    .find((file) => existsSync(file));
}

export function runOnHost(file, args, options = {}) {
  const result = spawnSync(file, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: systemPath, LC_ALL: 'C' },
    ...options,
  });
  if (result.error !== undefined) throw new GuestUnavailable(`${file}: ${result.error.message}.`);
  return result;
}

/** Throws GuestUnavailable where one of them is missing; `programs` are pairs of a program and Debian's package of it. */
export function needPrograms(programs) {
  for (const [program, debian] of programs) {
    if (findProgram(program) === undefined) {
      throw new GuestUnavailable(`${program} is missing (Debian's package ${debian}).`);
    }
  }
}

/** A directory of our own below the temporary one: somebody else may have made one of that name there. */
function cacheDirectory() {
  const uid = process.getuid?.() ?? 0;
  const directory = path.join(tmpdir(), `netloom-guest-${uid}`);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const status = lstatSync(directory);
  if (!status.isDirectory() || status.uid !== uid || (status.mode & 0o022) !== 0) {
    throw new GuestUnavailable(`${directory} is not a directory that only this user can write.`);
  }
  return directory;
}

/** The cached directory of this name; `fill` makes it when it is not there, and is given two directories: it, and one for scraps. */
export function unpackOnce(name, fill) {
  const cache = cacheDirectory();
  const home = path.join(cache, name);
  if (existsSync(home)) return home;
  const workplace = mkdtempSync(path.join(cache, 'unpacking-'));
  try {
    const root = path.join(workplace, 'root');
    mkdirSync(root);
    fill(root, workplace);
    try {
      renameSync(root, home);
    } catch (error) {
      // Another run may have been faster.
      if (!existsSync(home)) throw error;
    }
  } finally {
    rmSync(workplace, { recursive: true, force: true });
  }
  return home;
}
