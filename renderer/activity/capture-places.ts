/** Where packets are captured for what a person has selected. Pure. */
import {
  assertNever,
  type CapturePlace,
  type Inventory,
  type LabDocument,
  parseEndpoint,
} from '../../agent/api/index.ts';
import type { Selection } from '../topology/canvas/selection.ts';
import type { SceneEnd } from '../topology/canvas/scene/scene.ts';

/** What is captured on; `lab` is every node of it. */
export type Subject = Exclude<Selection, { readonly kind: 'cpu-group' }> | { readonly kind: 'lab' };

/** The agent takes no more. */
export const mostPlaces = 64;

export interface LabView {
  readonly name: string;
  readonly document: LabDocument;
  readonly inventory: Inventory | null;
  /** Inventory id of an end of a wire; null for what the kernel does not have. */
  readonly find: (end: SceneEnd) => string | null;
}

/** What is selected as a subject; the whole lab where nothing of the network is. */
export function subjectOf(selection: Selection | null): Subject {
  return selection === null || selection.kind === 'cpu-group' ? { kind: 'lab' } : selection;
}

/** None where there is nothing in the kernel to capture on. */
export function placesOf(subject: Subject, view: LabView): readonly CapturePlace[] {
  const { document, name: lab } = view;
  const at = (node: string, device: string | null): CapturePlace => ({
    ...{ kind: 'node', lab, node, device },
  });
  switch (subject.kind) {
    case 'lab':
      return Object.entries(document.topology.nodes)
        .filter(([, { kind }]) => kind !== 'vm' && kind !== 'internet')
        .map(([node]) => at(node, null));
    case 'node':
      // A machine is seen at the taps that lead to it.
      return document.topology.nodes[subject.node]?.kind === 'vm'
        ? ends(document).flatMap(([one, other]) => {
            const far = one.node === subject.node ? other : one;
            return one.node !== subject.node && other.node !== subject.node
              ? []
              : [at(far.node, far.interface)];
          })
        : [at(subject.node, null)];
    case 'interface':
      return [at(subject.node, subject.interface)];
    case 'link': {
      // Both ends of a wire see the same packets: one is enough.
      const wire = ends(document)[subject.index] ?? [];
      const end = wire.find((each) => view.find(each) !== null);
      return end === undefined ? [] : [at(end.node, end.interface)];
    }
    case 'foreign': {
      const { id } = subject;
      const isNamespace = view.inventory?.namespaces.some((each) => each.id === id) === true;
      return [isNamespace ? { kind: 'namespace', namespace: id } : { kind: 'link', link: id }];
    }
    default:
      return assertNever(subject);
  }
}

function ends(document: LabDocument): readonly (readonly [SceneEnd, SceneEnd])[] {
  return (document.topology.links ?? []).flatMap(({ endpoints }) => {
    const [one, other] = endpoints.map(parseEndpoint);
    return one === undefined || other === undefined ? [] : [[one, other] as const];
  });
}

/** Names of an interface as people read it: `r1:eth0`, `eth0` in the realm's own namespace. */
export function interfaceText(title: string | null, name: string): string {
  return title === null ? name : `${title}:${name}`;
}
