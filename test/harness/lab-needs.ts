/** The labs of the gallery, and in which tier each is sure to run. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readDocument } from '../../agent/lab/document-text.ts';
import { networkOf } from '../../agent/lab/network.ts';
import { requirementsOf } from '../../agent/lab/requirements.ts';
import { gallery } from './netloom.ts';

export const galleryFiles: readonly string[] = readdirSync(gallery)
  .filter((name) => name.endsWith('.yaml'))
  .sort();

export function readGallery(file: string): string {
  return readFileSync(path.join(gallery, file), 'utf8');
}

/** What every kernel has that these tests run on. */
const usual: ReadonlySet<string> = new Set([
  ...['link:bridge', 'link:veth', 'link:tap', 'link:tun', 'link:vxlan'],
  ...['queueing:tbf', 'program:nft', 'program:socat'],
  ...['program:qemu-system-x86_64', 'guest-system'],
  // With the userspace datapath; on the kernel's they are tried in a guest of their own.
  ...['ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl'].map((name) => `program:${name}`),
]);

/** Whether a lab of the gallery needs more than every kernel has: the guest tier is where it is sure to run. */
export function needsFullKernel(file: string): boolean {
  const { document } = readDocument(readGallery(file));
  if (document === null) return true;
  return requirementsOf(networkOf(document)).some(({ capability }) => !usual.has(capability));
}

/**
 * Whether a lab of the gallery splits CPUs: that takes the realm of the host and as many CPUs as the lab is for. It is tried
 * scaled to the machine's own (test/kernel/cpu-gallery.test.ts), and refused in a sandbox.
 */
export function splitsCpus(file: string): boolean {
  return readDocument(readGallery(file)).document?.cpu !== undefined;
}

/** Whether a lab of the gallery translates addresses, which Linux as a process cannot. */
export function translatesAddresses(file: string): boolean {
  const { document } = readDocument(readGallery(file));
  if (document === null) return false;
  return requirementsOf(networkOf(document)).some(({ capability }) => capability === 'program:nft');
}

/** Whether a lab of the gallery has an Open vSwitch. */
export function hasOpenVswitch(file: string): boolean {
  const { document } = readDocument(readGallery(file));
  return document !== null && networkOf(document).switches.size > 0;
}

export const cpuLabs = galleryFiles.filter((name) => splitsCpus(name));
export const sandboxLabs = galleryFiles.filter((name) => !splitsCpus(name));

/** On the kernel's datapath these are tried in a guest of their own. */
export const switchLabs = galleryFiles.filter((name) => hasOpenVswitch(name));

/** The others are tried on the machine's own kernel. */
export const fullKernelLabs = galleryFiles.filter(
  (name) => needsFullKernel(name) && !hasOpenVswitch(name),
);
