/** The other ends of veth pairs, wherever they are. */
import { getLink, namespaceIdOf } from '../kernel/links.ts';
import { listNamedNamespaces } from '../kernel/namespaces.ts';
import type { Link } from '../kernel/rtnetlink.ts';
import type { Door, Doors } from './doors.ts';

/** Older kernels leave IFLA_LINK out when both ends have the same index in different namespaces. */
export function peerIndexOf(link: Link): number | undefined {
  return link.link ?? (link.linkNamespaceId === undefined ? undefined : link.index);
}

export class PeerDoors {
  private readonly doors: Doors;
  private readonly door: Door;
  /** By the id that the namespace of the links has for them. */
  private byId: ReadonlyMap<number, Door> | null = null;

  constructor(doors: Doors, door: Door) {
    this.doors = doors;
    this.door = door;
  }

  /** Null for what is no veth, and where its other end is in a namespace without a name. */
  find(name: string): { readonly door: Door; readonly name: string } | null {
    const link = this.door.findLink(name);
    if (!link.ok || link.value?.kind !== 'veth') return null;
    const { linkNamespaceId } = link.value;
    const index = peerIndexOf(link.value);
    if (index === undefined) return null;
    const door = linkNamespaceId === undefined ? this.door : this.namespaces().get(linkNamespaceId);
    if (door === undefined) return null;
    const peer = getLink(door.socket, { index });
    return peer.ok ? { door, name: peer.value.name } : null;
  }

  private namespaces(): ReadonlyMap<number, Door> {
    if (this.byId !== null) return this.byId;
    const names = listNamedNamespaces();
    const doors = new Map<number, Door>();
    for (const name of [null, ...(names.ok ? names.value.map((one) => one.name) : [])]) {
      const door = this.doors.open(name);
      if (!door.ok) continue;
      const id = namespaceIdOf(this.door.socket, door.value.fd);
      if (id.ok && id.value !== undefined) doors.set(id.value, door.value);
    }
    this.byId = doors;
    return doors;
  }
}
