/**
 * Which veth is the other end of which. Pure: what must be asked of the kernel comes through {@link WireSource}.
 *
 * An end says the index of its other end (IFLA_LINK) and, if that is in another namespace, that namespace's id as seen
 * from its own (IFLA_LINK_NETNSID). The ids are numbers of each namespace's own; which namespace they stand for is
 * found by asking for the id of a candidate (RTM_GETNSID) and remembered. Interface indices alone prove nothing: every
 * namespace counts from 1.
 */
import { linkId } from './assemble.ts';

/** What a veth says of itself; see `Link` in rtnetlink.ts. */
export interface WireEnd {
  readonly namespace: string;
  readonly index: number;
  /** Index of the other end; undefined while the pair is being made. */
  readonly link: number | undefined;
  /** Undefined when the other end is in the same namespace. */
  readonly linkNamespaceId: number | undefined;
}

export interface WireSource {
  /** Id of `other` as seen from `namespace`; undefined while it has none. */
  readonly identify: (namespace: string, other: string) => number | undefined;
  /** What a veth says now; undefined when it is gone or no veth. */
  readonly reread: (namespace: string, index: number) => WireEnd | undefined;
}

interface KnownEnd extends WireEnd {
  readonly id: string;
  mate: KnownEnd | undefined;
}

/** Questions to the kernel in one call of `settle`: about 40 ms. What is left over waits for the next one. */
const identifyBudget = 4096;

export class WireTable {
  private readonly source: WireSource;
  private readonly ends = new Map<string, KnownEnd>();
  /** Ends without a mate by `own index:index of the other end`. */
  private readonly free = new Map<string, Set<KnownEnd>>();
  /** By namespace: which namespace an id stands for. */
  private readonly namespaceIds = new Map<string, Map<number, string>>();
  /** Ends to look at in the next `settle`. */
  private readonly pending = new Set<string>();
  private readonly changed = new Set<string>();
  private budget = 0;

  constructor(source: WireSource) {
    this.source = source;
  }

  /** Link id of the other end. */
  peerOf(id: string): string | null {
    return this.ends.get(id)?.mate?.id ?? null;
  }

  /** Whether `settle` has something to do. */
  get unsettled(): boolean {
    return this.pending.size > 0;
  }

  /** A veth was read. */
  put(end: WireEnd): void {
    const id = linkId(end.namespace, end.index);
    const old = this.ends.get(id);
    if (old !== undefined && old.link === end.link && old.linkNamespaceId === end.linkNamespaceId) {
      // Perhaps not for the first time without a mate: its other end may have come meanwhile.
      if (old.mate === undefined) this.pending.add(id);
      return;
    }
    this.remove(id);
    const fresh: KnownEnd = { ...end, id, mate: undefined };
    this.ends.set(id, fresh);
    this.setFree(fresh);
    this.pending.add(id);
  }

  /** A veth is gone from its namespace, or was moved: its other end is looked at again. */
  remove(id: string): void {
    const old = this.ends.get(id);
    if (old === undefined) return;
    this.part(old);
    this.clearFree(old);
    this.ends.delete(id);
    this.pending.delete(id);
  }

  /** Forgets what ids stood for it. Its ends must be removed one by one. */
  removeNamespace(namespace: string): void {
    this.namespaceIds.delete(namespace);
    for (const ids of this.namespaceIds.values()) {
      for (const [id, other] of ids) if (other === namespace) ids.delete(id);
    }
  }

  /** Joins what belongs together; gives the ids of the links whose peer is another than before. */
  settle(): ReadonlySet<string> {
    this.budget = identifyBudget;
    const open = [...this.pending];
    this.pending.clear();
    const alone = open.filter((id) => !this.join(id));
    if (alone.length > 0) {
      // What they say may be from before the pair was complete, or before the other end moved: read them again.
      const still = alone.filter((id) => {
        this.renew(id);
        return !this.join(id);
      });
      if (still.length > 0 && still.length <= 64) this.renewOthers(still);
    }
    const changed = new Set(this.changed);
    this.changed.clear();
    return changed;
  }

  /** Ends that have been alone for longer may say something new by now. */
  private renewOthers(still: readonly string[]): void {
    const known = new Set(still);
    const others: string[] = [];
    for (const ends of this.free.values()) {
      for (const end of ends) {
        if (!known.has(end.id) && others.length < 64) others.push(end.id);
      }
    }
    for (const id of others) if (this.renew(id)) this.join(id);
    for (const id of still) this.join(id);
    // `renew` puts ends back on the list: they have been looked at.
    for (const id of [...others, ...still]) if (this.budget > 0) this.pending.delete(id);
  }

  /** Reads an end again; true when it says something new. */
  private renew(id: string): boolean {
    const old = this.ends.get(id);
    if (old === undefined) return false;
    const fresh = this.source.reread(old.namespace, old.index);
    if (fresh === undefined) {
      this.remove(id);
      return true;
    }
    if (fresh.link === old.link && fresh.linkNamespaceId === old.linkNamespaceId) return false;
    this.put(fresh);
    this.pending.delete(id);
    return true;
  }

  /** True when the end has a mate now, or needs none. */
  private join(id: string): boolean {
    const end = this.ends.get(id);
    if (end === undefined || end.mate !== undefined) return true;
    const mate = this.findMate(end);
    if (mate === undefined) return false;
    if (mate.mate !== undefined) this.part(mate);
    end.mate = mate;
    mate.mate = end;
    this.clearFree(end);
    this.clearFree(mate);
    this.changed.add(end.id).add(mate.id);
    this.pending.delete(mate.id);
    return true;
  }

  private findMate(end: KnownEnd): KnownEnd | undefined {
    if (end.link === undefined) return undefined;
    if (end.linkNamespaceId === undefined) return this.verify(end, end.namespace);
    const known = this.namespaceIds.get(end.namespace)?.get(end.linkNamespaceId);
    if (known !== undefined) return this.verify(end, known);
    const candidates = this.free.get(`${end.link}:${end.index}`);
    if (candidates === undefined) return undefined;
    const possible: KnownEnd[] = [];
    for (const candidate of candidates) {
      if (candidate.namespace === end.namespace) continue;
      if (candidate.linkNamespaceId === undefined) continue;
      const back = this.namespaceIds.get(candidate.namespace)?.get(candidate.linkNamespaceId);
      if (back === undefined || back === end.namespace) possible.push(candidate);
    }
    // Namespaces that were made one after another are the likeliest pair.
    const own = Number(end.namespace);
    const distance = (other: KnownEnd): number => Math.abs(Number(other.namespace) - own);
    possible.sort((one, other) => distance(one) - distance(other));
    for (const candidate of possible) {
      if (this.budget <= 0) {
        this.pending.add(end.id);
        return undefined;
      }
      if (this.agree(end, candidate)) return candidate;
    }
    return undefined;
  }

  /**
   * Whether two ends mean each other's namespace. What one of them says may be from before the other one moved, so that
   * neither may say otherwise; that the kernel has no id for one of the two ways is usual.
   */
  private agree(one: KnownEnd, other: KnownEnd): boolean {
    const there = this.identifies(one, other);
    return there !== false && (this.identifies(other, one) ?? there) === true;
  }

  /** Whether `end` means the namespace of `other`; undefined when the kernel has no id for that. */
  private identifies(end: KnownEnd, other: KnownEnd): boolean | undefined {
    if (end.linkNamespaceId === undefined) return false;
    const known = this.namespaceIds.get(end.namespace)?.get(end.linkNamespaceId);
    if (known !== undefined) return known === other.namespace;
    this.budget -= 1;
    const id = this.source.identify(end.namespace, other.namespace);
    if (id === undefined || id < 0) return undefined;
    let ids = this.namespaceIds.get(end.namespace);
    if (ids === undefined) {
      ids = new Map();
      this.namespaceIds.set(end.namespace, ids);
    }
    // Remembered: the id stays for as long as both namespaces are there.
    ids.set(id, other.namespace);
    return id === end.linkNamespaceId;
  }

  /** The other end in a namespace that is certain, if it agrees; it is asked again when it does not. */
  private verify(end: KnownEnd, namespace: string): KnownEnd | undefined {
    if (end.link === undefined) return undefined;
    const id = linkId(namespace, end.link);
    const agrees = (other: KnownEnd | undefined): boolean =>
      other !== undefined &&
      other !== end &&
      other.link === end.index &&
      (namespace === end.namespace
        ? other.linkNamespaceId === undefined
        : this.identifies(other, end) !== false);
    const mate = this.ends.get(id);
    if (mate === undefined) return undefined;
    if (agrees(mate)) return mate;
    this.renew(id);
    const renewed = this.ends.get(id);
    return agrees(renewed) ? renewed : undefined;
  }

  /** Takes a pair apart. */
  private part(end: KnownEnd): void {
    const { mate } = end;
    if (mate === undefined) return;
    end.mate = undefined;
    mate.mate = undefined;
    this.changed.add(end.id).add(mate.id);
    for (const one of [end, mate]) {
      this.setFree(one);
      this.pending.add(one.id);
    }
  }

  private setFree(end: KnownEnd): void {
    const key = `${end.index}:${end.link ?? ''}`;
    const set = this.free.get(key);
    if (set === undefined) this.free.set(key, new Set([end]));
    else set.add(end);
  }

  private clearFree(end: KnownEnd): void {
    const key = `${end.index}:${end.link ?? ''}`;
    const set = this.free.get(key);
    set?.delete(end);
    if (set?.size === 0) this.free.delete(key);
  }
}
