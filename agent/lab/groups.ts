/** Disjoint sets of names. */
export class Groups {
  private readonly parents = new Map<string, string>();

  rootOf(name: string): string {
    let root = name;
    for (;;) {
      const parent = this.parents.get(root);
      if (parent === undefined) break;
      root = parent;
    }
    for (let at = name; at !== root;) {
      const next = this.parents.get(at) ?? root;
      this.parents.set(at, root);
      at = next;
    }
    return root;
  }

  areJoined(left: string, right: string): boolean {
    return this.rootOf(left) === this.rootOf(right);
  }

  /** False when they were joined already. */
  join(left: string, right: string): boolean {
    const [from, to] = [this.rootOf(left), this.rootOf(right)];
    if (from === to) return false;
    this.parents.set(from, to);
    return true;
  }
}
