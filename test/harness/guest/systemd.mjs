/**
 * Debian's systemd as the first process of a guest, without anything around it: no bus, journal, device manager or login, and
 * none of the units that the host may have. Root's `systemctl` and `systemd-run` reach it by its own socket. The guest's
 * script is one service of it (`netloom-test.service` in `system.slice`), as an agent is on a machine of today.
 *
 * Nothing of it is installed: its packages are unpacked into two layers of the guest's root, `programs` over what the host
 * has, so that all of systemd is of one version, and `libraries` under it, so that the host's programs keep their own.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { GuestUnavailable, quote, unpackOnce } from './host.mjs';
import { findInPackages, readPackageField, unpackPackage } from './packages.mjs';

/** Raised when what is unpacked changes. */
const cacheVersion = 1;

const programs = ['systemd', 'libsystemd-shared'];

/** Targets and slices as Debian has them, without what they want to have started. */
const ownUnits = 'usr/lib/systemd/netloom-guest';
const systemUnits = 'usr/lib/systemd/system';
/** What the host may have put there is hidden: it belongs to services that are not started here. */
const hidden = ['/etc/systemd', '/usr/lib/systemd/system-generators', '/usr/local/lib/systemd'];

/** The libraries that it is linked with; those of these libraries are part of every Debian. */
function findLibraries() {
  const names = programs
    .flatMap((name) => ['Pre-Depends', 'Depends'].map((field) => readPackageField(name, field)))
    .flatMap((field) => (field ?? '').split(', '))
    .map((dependency) => dependency.split(' ')[0])
    .filter((name) => name.startsWith('lib') && name !== 'libc6');
  return [...new Set(names)].filter((name) => !programs.includes(name));
}

/** A package may still name directories that are links into /usr on the machine: over these it would replace the links. */
function mergeIntoUsr(root) {
  for (const folder of ['bin', 'sbin', 'lib']) {
    const place = path.join(root, folder);
    if (!existsSync(place)) continue;
    cpSync(place, path.join(root, 'usr', folder), { recursive: true, verbatimSymlinks: true });
    rmSync(place, { recursive: true });
  }
}

function keepUnits(root) {
  const kept = path.join(root, ownUnits);
  renameSync(path.join(root, systemUnits), kept);
  for (const name of readdirSync(kept)) {
    if (!/\.(?:target|slice)$/u.test(name)) rmSync(path.join(kept, name), { recursive: true });
  }
}

/** The directory with both layers; unpacked once. Throws GuestUnavailable. */
export function prepareSystemd() {
  const version = findInPackages(() => readPackageField('systemd', 'Version') ?? undefined);
  if (version === undefined) {
    throw new GuestUnavailable('The package lists of this machine have no systemd.');
  }
  return unpackOnce(`systemd_${version}_${cacheVersion}`, (root, workplace) => {
    const layers = { programs, libraries: findLibraries() };
    for (const [layer, packages] of Object.entries(layers)) {
      const place = path.join(root, layer);
      mkdirSync(place);
      for (const name of packages) unpackPackage(name, place, workplace);
      mergeIntoUsr(place);
    }
    keepUnits(path.join(root, 'programs'));
  });
}

/** Lines of sh(1) for the guest's first process, which becomes systemd and runs the shell's file `run` as a service. */
export function becomeSystemd(run) {
  return `
for directory in ${hidden.join(' ')}; do
  mkdir -p "$directory"
  mount -t tmpfs -o mode=755 hidden "$directory"
done
mkdir -p /${systemUnits}
mount --bind /${ownUnits} /${systemUnits}
hostname >/etc/hostname
# Without one systemd would take this for its first boot.
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
cat >/${systemUnits}/netloom-test.target <<'UNIT'
[Unit]
Description=The guest's script
Requires=basic.target
After=basic.target
Wants=netloom-test.service
UNIT
cat >/${systemUnits}/netloom-test.service <<'UNIT'
[Unit]
Description=The guest's script
# It ends the machine by itself, unless somebody ends it.
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=exec
ExecStart=/bin/sh ${quote(run)}
StandardOutput=tty
StandardError=tty
UNIT
exec env -i PATH="$PATH" TERM=linux /usr/lib/systemd/systemd --unit=netloom-test.target --log-target=console --show-status=no
`;
}
