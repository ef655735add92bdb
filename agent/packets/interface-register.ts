/** The interfaces of a capture, numbered as they are met: a number stays what it is, whatever becomes of the interface. Pure. */
import type { CapturedInterface } from '../api/traffic.ts';
import { interfaceTitle } from '../dissect/capture/capture-writer.ts';

export interface InterfacePlace {
  /** Id of the namespace. */
  readonly namespace: string;
  /** As people know it; null for the realm's own. */
  readonly title: string | null;
  readonly index: number;
}

interface Known {
  view: CapturedInterface;
  /** Packets of it that were taken. */
  packets: number;
}

export class InterfaceRegister {
  private readonly known: Known[] = [];
  /** Numbers of those that are present, by namespace and index. */
  private readonly present = new Map<string, Map<number, number>>();
  private readonly changed = new Set<number>();

  get size(): number {
    return this.known.length;
  }

  /**
   * Number of the interface that has this index now. One whose packets have another shape than they had is another one, for
   * files know one shape of each.
   */
  numberOf(place: InterfacePlace, linkType: number, nameOf: () => string): number {
    const { namespace, title, index } = place;
    let ofNamespace = this.present.get(namespace);
    if (ofNamespace === undefined) {
      ofNamespace = new Map();
      this.present.set(namespace, ofNamespace);
    }
    const number = ofNamespace.get(index);
    if (number !== undefined) {
      const known = this.known[number];
      if (known?.view.linkType === linkType) return number;
      if (known !== undefined) this.change(number, known, { present: false });
    }
    const made = this.known.length;
    const view: CapturedInterface = {
      number: made,
      link: `${namespace}/${String(index)}`,
      namespace,
      title,
      name: nameOf(),
      linkType,
      present: true,
    };
    this.known.push({ view, packets: 0 });
    ofNamespace.set(index, made);
    this.changed.add(made);
    return made;
  }

  private change(number: number, known: Known, change: Partial<CapturedInterface>): void {
    known.view = { ...known.view, ...change };
    this.changed.add(number);
  }

  rename(namespace: string, index: number, name: string): void {
    const number = this.present.get(namespace)?.get(index);
    const known = number === undefined ? undefined : this.known[number];
    if (number === undefined || known === undefined || known.view.name === name) return;
    this.change(number, known, { name });
  }

  /** The interface is gone: one that gets its index is another. */
  remove(namespace: string, index: number): void {
    const number = this.present.get(namespace)?.get(index);
    const known = number === undefined ? undefined : this.known[number];
    if (number === undefined || known === undefined) return;
    this.present.get(namespace)?.delete(index);
    this.change(number, known, { present: false });
  }

  removeNamespace(namespace: string): void {
    for (const index of [...(this.present.get(namespace)?.keys() ?? [])]) {
      this.remove(namespace, index);
    }
    this.present.delete(namespace);
  }

  isPresent(namespace: string, index: number): boolean {
    return this.present.get(namespace)?.has(index) === true;
  }

  count(number: number): void {
    const known = this.known[number];
    if (known !== undefined) known.packets += 1;
  }

  packetsOf(number: number): number {
    return this.known[number]?.packets ?? 0;
  }

  get(number: number): CapturedInterface | undefined {
    return this.known[number]?.view;
  }

  /** As files and programs show it: `r1:eth0`. */
  titleOf(number: number): string | null {
    const view = this.get(number);
    return view === undefined ? null : interfaceTitle({ namespace: view.title, name: view.name });
  }

  all(): readonly CapturedInterface[] {
    return this.known.map(({ view }) => view);
  }

  /** What is new or different since it was asked last. */
  takeChanged(): readonly CapturedInterface[] {
    const taken = [...this.changed].flatMap((number) => this.get(number) ?? []);
    this.changed.clear();
    return taken;
  }
}
