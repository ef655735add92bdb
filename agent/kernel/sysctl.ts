/**
 * Kernel settings below /proc/sys/net, in a namespace. The kernel looks the tree up by the namespace of the task that
 * opens the file (net/sysctl_net.c, net_ctl_root.lookup), so opening, reading and writing all happen synchronously
 * inside the namespace.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fail, type Result, succeed } from '../api/result.ts';
import { isErrno, systemFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';

const root = '/proc/sys/net';

/** Settings are named by their path, since a link's name may hold dots: `ipv4/ip_forward`, `ipv6/conf/eth0.5/mtu`. */
function pathOf(setting: string): string {
  const parts = setting.split('/');
  if (
    parts.some((part) => part === '' || part === '.' || part === '..') ||
    setting.includes('\0')
  ) {
    throw new RangeError(`No setting: ${JSON.stringify(setting)}`);
  }
  return `${root}/${setting}`;
}

function inNamespace<T>(namespaceFd: number | undefined, action: () => Result<T>): Result<T> {
  if (namespaceFd === undefined) return action();
  const entered = runIn(namespaceFd, action);
  return entered.ok ? entered.value : entered;
}

/** Value of a setting without its newline. Fails with ENOENT where the kernel has no such setting. */
export function readSetting(namespaceFd: number | undefined, setting: string): Result<string> {
  const path = pathOf(setting);
  return inNamespace(namespaceFd, () => {
    try {
      return succeed(readFileSync(path, 'latin1').trimEnd());
    } catch (error) {
      return fail(systemFailure(path, error));
    }
  });
}

/** Writes a setting, opened without creating anything. */
export function writeSetting(
  namespaceFd: number | undefined,
  setting: string,
  value: string,
): Result<void> {
  const path = pathOf(setting);
  return inNamespace(namespaceFd, () => {
    try {
      writeFileSync(path, `${value}\n`, { flag: 'r+' });
      return succeed(undefined);
    } catch (error) {
      return fail(systemFailure(path, error));
    }
  });
}

/**
 * Writes several settings, entering the namespace once. Those that this kernel does not have are skipped when
 * `optional`; the first other failure ends it. Gives the settings that were written.
 */
export function writeSettings(
  namespaceFd: number | undefined,
  settings: Readonly<Record<string, string>>,
  options: { readonly optional?: boolean } = {},
): Result<readonly string[]> {
  return inNamespace(namespaceFd, () => {
    const written: string[] = [];
    for (const [setting, value] of Object.entries(settings)) {
      const result = writeSetting(undefined, setting, value);
      if (result.ok) written.push(setting);
      else if (options.optional !== true || !isErrno(result.failure, 'ENOENT')) return result;
    }
    return succeed(written);
  });
}

/** Names of the settings and folders in a folder; empty where there is none. */
export function listSettings(
  namespaceFd: number | undefined,
  folder: string,
): Result<readonly string[]> {
  const path = pathOf(folder);
  return inNamespace(namespaceFd, () => {
    try {
      return succeed(readdirSync(path).sort());
    } catch (error) {
      const failure = systemFailure(path, error);
      return isErrno(failure, 'ENOENT') ? succeed([]) : fail(failure);
    }
  });
}
