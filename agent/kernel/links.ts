/** Links, over a request socket: the socket's namespace is where they are, unless said otherwise. */
import { randomInt } from 'node:crypto';
import { fail, type Result, succeed } from '../api/result.ts';
import { kernelFailure } from './kernel-failure.ts';
import { ENODEV } from './native.ts';
import type { RequestSocket } from './netlink-socket.ts';
import {
  type BridgePortChange,
  type BridgeSettings,
  decodeLink,
  deleteLinkGroupRequest,
  deleteLinkRequest,
  dumpLinksRequest,
  getLinkRequest,
  getNamespaceIdRequest,
  type Link,
  type LinkChange,
  type LinkFilter,
  newBridgeRequest,
  newLinkRequest,
  type NewLinkRequest,
  type NewLinkSettings,
  newNamespaceIdRequest,
  newVethRequest,
  setBridgePortRequest,
  setLinkRequest,
} from './rtnetlink.ts';

/**
 * Makes a veth pair, both ends down, each in its namespace. Fails with EEXIST when a name is taken there, with
 * nothing made.
 */
export function createVeth(
  socket: RequestSocket,
  end: NewLinkSettings,
  peer: NewLinkSettings,
): Result<void> {
  return socket.execute(newVethRequest(end, peer));
}

/** Makes a bridge, down. */
export function createBridge(
  socket: RequestSocket,
  link: NewLinkSettings,
  settings: BridgeSettings = {},
): Result<void> {
  return socket.execute(newBridgeRequest(link, settings));
}

/** Makes a link of any kind, down; `data` writes its IFLA_INFO_DATA. EOPNOTSUPP when the kernel lacks the kind. */
export function createLink(socket: RequestSocket, request: NewLinkRequest): Result<void> {
  return socket.execute(newLinkRequest(request));
}

/** Changes a link, everything in one message. `object` names it in failures. */
export function setLink(
  socket: RequestSocket,
  index: number,
  change: LinkChange,
  object?: string,
): Result<void> {
  return socket.execute(setLinkRequest(index, change, object));
}

export function setBridgePort(
  socket: RequestSocket,
  index: number,
  change: BridgePortChange,
  object?: string,
): Result<void> {
  return socket.execute(setBridgePortRequest(index, change, object));
}

/** Deletes a link (of a veth pair, both ends). Fails with ENODEV when it is gone. */
export function deleteLink(socket: RequestSocket, index: number, object?: string): Result<void> {
  return socket.execute(deleteLinkRequest(index, object));
}

/**
 * Makes links a group of their own, to be deleted at once by {@link deleteLinkGroup}; gives its number. Nothing else comes of
 * it. Fails with ENODEV when one of them is gone.
 */
export function groupLinks(socket: RequestSocket, indexes: readonly number[]): Result<number> {
  // A number that nobody gives to a group on purpose.
  const group = randomInt(0x1000_0000, 0x7fff_ffff);
  for (const index of indexes) {
    const grouped = setLink(socket, index, { group });
    if (!grouped.ok) return grouped;
  }
  return succeed(group);
}

/**
 * Deletes all links of a group, or none. The kernel waits for all processors after each deletion (netdev_run_todo), about
 * 20 ms, and after this one once. Fails with ENODEV when there is none.
 */
export function deleteLinkGroup(socket: RequestSocket, group: number): Result<void> {
  return socket.execute(deleteLinkGroupRequest(group));
}

/** The links of the namespace in order of their index; filtered by the kernel and, for older ones, here again. */
export function listLinks(socket: RequestSocket, filter: LinkFilter = {}): Result<readonly Link[]> {
  return socket.list(dumpLinksRequest(filter), (bytes, start, end) => {
    const link = decodeLink(bytes, start, end);
    if (link === undefined) return undefined;
    if (filter.master !== undefined && link.master !== filter.master) return undefined;
    return filter.kind === undefined || link.kind === filter.kind ? link : undefined;
  });
}

/** One link, by index or name. Fails with ENODEV when there is none. */
export function getLink(
  socket: RequestSocket,
  which: { readonly index: number } | { readonly name: string },
  options: { readonly counters?: boolean } = {},
): Result<Link> {
  const request = getLinkRequest(which, options);
  const answer = socket.query(request);
  if (!answer.ok) return answer;
  return answer.value?.kind === 'link'
    ? succeed(answer.value.link)
    : fail(kernelFailure(request.object, { call: 'RTM_GETLINK', errno: ENODEV }));
}

/** Id of the namespace behind a descriptor, as seen from the socket's; undefined while it has none. */
export function namespaceIdOf(
  socket: RequestSocket,
  namespaceFd: number,
): Result<number | undefined> {
  const request = getNamespaceIdRequest(namespaceFd);
  const answer = socket.query(request);
  if (!answer.ok) return answer;
  return succeed(answer.value?.kind === 'namespace-id' ? answer.value.namespaceId : undefined);
}

/**
 * Gives the namespace an id here, so that its events are heard and links name it. Fails with EEXIST when it has one.
 * The id stays until the namespace ends and `ip netns list-id` shows it.
 */
export function assignNamespaceId(
  socket: RequestSocket,
  namespaceFd: number,
  namespaceId = -1,
): Result<void> {
  return socket.execute(newNamespaceIdRequest(namespaceFd, namespaceId));
}
