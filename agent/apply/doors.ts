/** Open namespaces, their request sockets and what was learnt about their links, for as long as one transaction. */
import { labOfMark } from '../api/names.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { isErrno } from '../kernel/kernel-failure.ts';
import { getLink } from '../kernel/links.ts';
import {
  closeNamespace,
  homeNamespace,
  type NamespaceHandle,
  openNamespaceByName,
} from '../kernel/namespaces.ts';
import { RequestSocket } from '../kernel/netlink-socket.ts';
import type { Link } from '../kernel/rtnetlink.ts';
import type { RunRule } from '../kernel/runs.ts';

/** The realm's own namespace is null, as in operations. */
export type NamespaceName = string | null;

export class Door {
  readonly name: NamespaceName;
  readonly fd: number;
  readonly socket: RequestSocket;
  /** Indexes of links that are known to be ours, by name. */
  readonly ownIndexes = new Map<string, number>();
  private readonly handle: NamespaceHandle | null;

  constructor(
    name: NamespaceName,
    fd: number,
    socket: RequestSocket,
    handle: NamespaceHandle | null,
  ) {
    this.name = name;
    this.fd = fd;
    this.socket = socket;
    this.handle = handle;
  }

  /** The link of this name, or null. */
  findLink(name: string): Result<Link | null> {
    const link = getLink(this.socket, { name });
    if (!link.ok) return isErrno(link.failure, 'ENODEV') ? succeed(null) : link;
    // The kernel finds alternative names too; those belong to something else.
    return succeed(link.value.name === name ? link.value : null);
  }

  close(): void {
    this.socket.close();
    if (this.handle !== null) closeNamespace(this.handle);
  }
}

/**
 * Whether the document in force lists a link (`lo` stands for its namespace): then it is ours even when somebody took
 * its mark away, as the planner sees it.
 */
export type Listed = (namespace: NamespaceName, link: string) => boolean;

export class Doors {
  /** Lab whose objects may be touched. */
  readonly lab: string;
  /** Whose processes count as the lab's. */
  readonly runRule: RunRule;
  private readonly isListed: Listed;
  private readonly doors = new Map<NamespaceName, Door>();

  constructor(lab: string, isListed: Listed, runRule: RunRule = 'any') {
    this.lab = lab;
    this.isListed = isListed;
    this.runRule = runRule;
  }

  /** Opens the namespace, unless it is open. */
  open(name: NamespaceName): Result<Door> {
    const known = this.doors.get(name);
    if (known !== undefined) return succeed(known);
    if (name !== null) {
      const handle = openNamespaceByName(name);
      return handle.ok ? this.admit(name, handle.value) : handle;
    }
    const socket = RequestSocket.open(homeNamespace(), 'realm');
    if (!socket.ok) return socket;
    const door = new Door(null, homeNamespace(), socket.value, null);
    this.doors.set(null, door);
    return succeed(door);
  }

  /** Takes over the handle of a namespace that was just made. */
  admit(name: string, handle: NamespaceHandle): Result<Door> {
    const socket = RequestSocket.open(handle.fd, `namespace ${name}`);
    if (!socket.ok) {
      closeNamespace(handle);
      return socket;
    }
    const door = new Door(name, handle.fd, socket.value, handle);
    this.doors.set(name, door);
    return succeed(door);
  }

  /** Closes one namespace: an open socket would keep it alive. */
  leave(name: NamespaceName): void {
    this.doors.get(name)?.close();
    this.doors.delete(name);
  }

  close(): void {
    for (const name of [...this.doors.keys()]) this.leave(name);
  }

  isOwn(door: Door, link: Link): boolean {
    const lab = labOfMark(link.alias ?? null);
    return lab === null ? this.isListed(door.name, link.name) : lab === this.lab;
  }
}

export function linkLabel(namespace: NamespaceName, link: string): string {
  return namespace === null ? link : `${namespace}:${link}`;
}

/** Something without our mark is where one of ours should be. */
export function foreignFailure(lab: string, label: string): Failure {
  return {
    kind: 'name-taken',
    code: 'foreign-object',
    object: label,
    reason: `${label} does not bear the mark of lab ${lab}, so it is not touched.`,
    next: 'Rename or remove it by hand, or choose another name in the lab.',
    values: { lab },
  };
}

export function missingFailure(label: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'object-missing',
    object: label,
    reason: `${label} is not there any more.`,
    next: 'Plan again: something else changed the network meanwhile.',
  };
}

/** Index of a link of ours. Asks the kernel once a transaction. */
export function ownIndex(doors: Doors, door: Door, name: string): Result<number> {
  const known = door.ownIndexes.get(name);
  if (known !== undefined) return succeed(known);
  const label = linkLabel(door.name, name);
  const link = door.findLink(name);
  if (!link.ok) return link;
  if (link.value === null) return fail(missingFailure(label));
  // `lo` of the realm is nobody's; that of a namespace bears the namespace's mark.
  if (!doors.isOwn(door, link.value)) return fail(foreignFailure(doors.lab, label));
  door.ownIndexes.set(name, link.value.index);
  return succeed(link.value.index);
}
