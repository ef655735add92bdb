/** Private Open vSwitch databases and switches for tests, ended and removed afterwards. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { engineCommands, engineFiles } from '../../agent/ovs/engine-commands.ts';

const directories: string[] = [];

export function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'netloom-ovs-'));
  directories.push(directory);
  return directory;
}

/** A database without a switch; the path of its socket. */
export function startDatabase(directory = freshDirectory()): string {
  const commands = engineCommands(directory, 'netdev');
  for (const [file = '', ...args] of [
    commands.create,
    commands.startDatabase,
    commands.initialize,
  ]) {
    execFileSync(file, args, { stdio: 'pipe' });
  }
  return engineFiles(directory).socket;
}

export function vsctl(socket: string, ...args: readonly string[]): string {
  return execFileSync('ovs-vsctl', [`--db=unix:${socket}`, ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

export function pidIn(file: string): number {
  return Number(readFileSync(file, 'utf8'));
}

function endProcess(pidFile: string): void {
  try {
    process.kill(pidIn(pidFile), 'SIGKILL');
  } catch {
    // It does not run.
  }
}

/** Ends what tests have left; for afterAll. */
export function endDatabases(): void {
  for (const directory of directories) {
    const files = engineFiles(directory);
    endProcess(files.switchPid);
    endProcess(files.databasePid);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Tries until it does not fail; a bound against hanging, not a measurement. */
export function eventually(attempt: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(attempt, { timeout: 30_000, interval: 50 });
}
