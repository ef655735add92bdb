/** What is different between two inventories, and the inventory that clients know. Pure. */
import { equalData } from '../api/equal-data.ts';
import type {
  Inventory,
  InventoryDelta,
  LinkView,
  NamespaceView,
  RouteTableView,
} from '../api/inventory.ts';
import type { OvsEngineView } from '../api/ovs.ts';

/** Views of one sort by key, and what they were when the last delta was taken. */
class ViewSet<View> {
  private readonly views = new Map<string, View>();
  private readonly before = new Map<string, View | undefined>();

  put(key: string, view: View): void {
    const old = this.views.get(key);
    if (old !== undefined && equalData(old, view)) return;
    if (!this.before.has(key)) this.before.set(key, old);
    this.views.set(key, view);
  }

  remove(key: string): void {
    const old = this.views.get(key);
    if (old === undefined) return;
    if (!this.before.has(key)) this.before.set(key, old);
    this.views.delete(key);
  }

  get(key: string): View | undefined {
    return this.views.get(key);
  }

  values(): View[] {
    return [...this.views.values()];
  }

  /** What was put or removed since the last call and really differs. */
  take(): { readonly changed: View[]; readonly removed: string[] } {
    const changed: View[] = [];
    const removed: string[] = [];
    for (const [key, old] of this.before) {
      const view = this.views.get(key);
      if (view === undefined) {
        if (old !== undefined) removed.push(key);
      } else if (old === undefined || !equalData(old, view)) {
        changed.push(view);
      }
    }
    this.before.clear();
    return { changed, removed };
  }
}

/** The inventory as clients know it, changed view by view; `take` says what is new since the last time. */
export class PublishedInventory {
  private readonly namespaces = new ViewSet<NamespaceView>();
  private readonly links = new ViewSet<LinkView>();
  private readonly routes = new ViewSet<RouteTableView>();
  private readonly engines = new ViewSet<OvsEngineView>();
  private sequence = 0;
  private whole: Inventory | undefined;

  putNamespace(view: NamespaceView): void {
    this.namespaces.put(view.id, view);
  }

  /** Its links must be removed one by one; its routes go with it. */
  removeNamespace(id: string): void {
    this.namespaces.remove(id);
    this.routes.remove(id);
  }

  putLink(view: LinkView): void {
    this.links.put(view.id, view);
  }

  removeLink(id: string): void {
    this.links.remove(id);
  }

  putEngine(view: OvsEngineView): void {
    this.engines.put(view.namespace, view);
  }

  removeEngine(namespace: string): void {
    this.engines.remove(namespace);
  }

  engineViews(): readonly OvsEngineView[] {
    return this.engines.values();
  }

  putRoutes(view: RouteTableView): void {
    this.routes.put(view.namespace, view);
  }

  /** The inventory as of the last `take`, if nothing was put or removed since. */
  snapshot(): Inventory {
    this.whole ??= {
      sequence: this.sequence,
      namespaces: this.namespaces.values(),
      links: this.links.values(),
      routes: this.routes.values(),
      engines: this.engines.values(),
    };
    return this.whole;
  }

  /** The next delta, or null when nothing differs. */
  take(): InventoryDelta | null {
    const namespaces = this.namespaces.take();
    const links = this.links.take();
    const routes = this.routes.take();
    const engines = this.engines.take();
    if (
      namespaces.changed.length + namespaces.removed.length === 0 &&
      links.changed.length + links.removed.length === 0 &&
      routes.changed.length === 0 &&
      engines.changed.length + engines.removed.length === 0
    ) {
      return null;
    }
    this.sequence += 1;
    this.whole = undefined;
    return {
      sequence: this.sequence,
      namespaces: namespaces.changed,
      removedNamespaces: namespaces.removed,
      links: links.changed,
      removedLinks: links.removed,
      routes: routes.changed,
      engines: engines.changed,
      removedEngines: engines.removed,
    };
  }
}

/** The delta that leads from one inventory to another, null when they hold the same. */
export function diffInventories(before: Inventory, after: Inventory): InventoryDelta | null {
  const compare = <View>(
    old: readonly View[],
    fresh: readonly View[],
    key: (view: View) => string,
  ): { readonly changed: View[]; readonly removed: string[] } => {
    const known = new Map(old.map((view) => [key(view), view]));
    const changed: View[] = [];
    for (const view of fresh) {
      const previous = known.get(key(view));
      if (previous === undefined || !equalData(previous, view)) changed.push(view);
      known.delete(key(view));
    }
    return { changed, removed: [...known.keys()] };
  };
  const namespaces = compare(before.namespaces, after.namespaces, (view) => view.id);
  const links = compare(before.links, after.links, (view) => view.id);
  const routes = compare(before.routes, after.routes, (view) => view.namespace);
  const engines = compare(before.engines, after.engines, (view) => view.namespace);
  const count =
    namespaces.changed.length +
    namespaces.removed.length +
    links.changed.length +
    links.removed.length +
    routes.changed.length +
    engines.changed.length +
    engines.removed.length;
  if (count === 0) return null;
  return {
    engines: engines.changed,
    removedEngines: engines.removed,
    sequence: before.sequence + 1,
    namespaces: namespaces.changed,
    removedNamespaces: namespaces.removed,
    links: links.changed,
    removedLinks: links.removed,
    routes: routes.changed,
  };
}
