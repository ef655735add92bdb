/** Debian's packages: found in the lists, fetched and unpacked; nothing is installed. */
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { GuestUnavailable, needPrograms, runOnHost } from './host.mjs';

/** The field of a Debian control paragraph (deb-control(5)) in the package lists; null when there is none. */
export function readPackageField(name, field) {
  const { status, stdout } = runOnHost('apt-cache', ['show', '--no-all-versions', name]);
  if (status !== 0) return null;
  const line = stdout.split('\n').find((one) => one.startsWith(`${field}: `));
  return line === undefined ? null : line.slice(field.length + 2).trim();
}

/** What `find` makes of the package lists, which are fetched when it finds nothing in them; undefined when there is still nothing. */
export function findInPackages(find) {
  needPrograms([
    ['apt-get', 'apt'],
    ['dpkg-deb', 'dpkg'],
  ]);
  const found = find();
  if (found !== undefined || process.getuid?.() !== 0) return found;
  runOnHost('apt-get', ['update', '-q']);
  return find();
}

export function unpackPackage(name, directory, workplace) {
  const asRoot = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  const place = path.join(workplace, 'packages');
  mkdirSync(place, { recursive: true });
  const got = runOnHost('apt-get', [...asRoot, '-q', 'download', name], { cwd: place });
  const file = readdirSync(place).find((one) => one.startsWith(`${name}_`) && one.endsWith('.deb'));
  if (got.status !== 0 || file === undefined) {
    throw new GuestUnavailable(`The package ${name} cannot be had: ${got.stderr.trim()}`);
  }
  const unpacked = runOnHost('dpkg-deb', ['-x', path.join(place, file), directory]);
  if (unpacked.status !== 0) throw new GuestUnavailable(`dpkg-deb: ${unpacked.stderr.trim()}`);
}

/** The static busybox, with which a guest begins, at `busybox` in the directory. */
export function unpackBusybox(directory, workplace) {
  const place = path.join(workplace, 'busybox');
  unpackPackage('busybox-static', place, workplace);
  const busybox = ['bin/busybox', 'usr/bin/busybox']
    .map((file) => path.join(place, file))
    .find((file) => existsSync(file));
  cpSync(busybox, path.join(directory, 'busybox'));
}
