/**
 * What moves the packets of a switch: the kernel's module `openvswitch`, asked for by ovs-dpctl(8), or Open vSwitch itself. What
 * either has in a namespace outlives a switch that is killed.
 */
import { datapathLinks, engineLinks } from '../api/ovs.ts';
import type { OvsDatapath } from '../api/ovs.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { attachTun } from '../kernel/devices.ts';
import { deleteLink, getLink, listLinks } from '../kernel/links.ts';
import { runInFresh } from '../kernel/namespaces.ts';
import { closeDescriptor } from '../kernel/native.ts';
import { RequestSocket } from '../kernel/netlink-socket.ts';
import { runCommand, runCommandNow } from '../kernel/process.ts';
import type { Link } from '../kernel/rtnetlink.ts';
import { ovsFailure } from './failures.ts';

/** The capability of `lackOfKernelDatapath`. */
export const datapathCapability = 'datapath:system';

/** Also the name of the datapath. */
const kernelDatapath = datapathLinks.system;

let known: { readonly lack: string | null } | null = null;

/**
 * Why switches cannot use the kernel's datapath here; null when they can. Found by making one in a throw-away namespace, at
 * the first question.
 */
export function lackOfKernelDatapath(): string | null {
  known ??= { lack: tryKernelDatapath() };
  return known.lack;
}

function tryKernelDatapath(): string | null {
  const tried = runInFresh(() =>
    runCommandNow({
      file: 'ovs-dpctl',
      args: ['add-dp', 'probe'],
      purpose: 'trying the datapath of the kernel',
    }),
  );
  const ran = tried.ok ? tried.value : tried;
  if (!ran.ok) return ran.failure.reason;
  if (ran.value.exitCode === 0) return null;
  const said = ran.value.stderr.trim().split('\n').at(-1) ?? '';
  return `The kernel does not have the module openvswitch, or does not let it be used (${said}).`;
}

/**
 * Takes away what a switch that was killed has left of its datapath in a namespace: the kernel's with its links, its flows
 * and the links of its tunnels, or the tap of Open vSwitch's own. Succeeds where nothing is left.
 */
export function removeDatapath(namespaceFd: number, datapath: OvsDatapath): Promise<Result<void>> {
  return datapath === 'system'
    ? removeKernelDatapath(namespaceFd)
    : Promise.resolve(removeTap(namespaceFd));
}

/** Its taps are persistent. One that another switch holds cannot be attached to, and is none of ours. */
function removeTap(namespaceFd: number): Result<void> {
  const held = attachTun(namespaceFd, 'tap', datapathLinks.netdev);
  if (!held.ok) return succeed(undefined);
  // It is made where there is none, and goes with the descriptor then.
  try {
    const opened = RequestSocket.open(namespaceFd, 'datapath');
    if (!opened.ok) return opened;
    const socket = opened.value;
    const link = getLink(socket, { name: datapathLinks.netdev });
    const removed = link.ok ? deleteLink(socket, link.value.index, datapathLinks.netdev) : link;
    socket.close();
    return removed;
  } finally {
    closeDescriptor(held.value);
  }
}

async function removeKernelDatapath(namespaceFd: number): Promise<Result<void>> {
  const opened = RequestSocket.open(namespaceFd, 'datapath');
  if (!opened.ok) return opened;
  const socket = opened.value;
  try {
    const links = listLinks(socket);
    if (!links.ok) return links;
    const own = links.value.filter(({ name }) => engineLinks.test(name));
    const datapath = own.find(
      ({ name, kind }) => name === kernelDatapath && kind === 'openvswitch',
    );
    if (datapath !== undefined) {
      const removed = await deleteDatapath(namespaceFd);
      if (!removed.ok) return removed;
    }
    for (const { index, name } of own.filter((link) => isTunnel(link, datapath))) {
      const removed = deleteLink(socket, index, name);
      if (!removed.ok) return removed;
    }
    return succeed(undefined);
  } finally {
    socket.close();
  }
}

/** Their tunnels' links stay when a datapath goes, without a master. */
function isTunnel({ kind, master }: Link, datapath: Link | undefined): boolean {
  return kind !== 'openvswitch' && (master === undefined || master === datapath?.index);
}

async function deleteDatapath(namespaceFd: number): Promise<Result<void>> {
  const ran = await runCommand({
    file: 'ovs-dpctl',
    args: ['del-dp', kernelDatapath],
    purpose: 'removing the datapath of a switch that has ended',
    namespaceFd,
  });
  if (!ran.ok) return ran;
  if (ran.value.exitCode === 0) return succeed(undefined);
  const detail = ran.value.stderr.trim();
  return fail(
    ovsFailure(
      'process',
      'ovs-datapath-stays',
      kernelDatapath,
      `The kernel keeps the datapath of a switch that has ended: ${detail}.`,
      'See which process holds it, then try again.',
      { detail: detail.slice(0, 1500) },
    ),
  );
}
