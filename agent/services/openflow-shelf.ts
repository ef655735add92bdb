/**
 * Flows, groups and meters of documents in the form that their bridges show them in, so that a plan, which is pure, can compare
 * texts. Only Open vSwitch knows that form: it is asked before, and what it said is kept.
 */
import type { LabDocument } from '../api/document.ts';
import type { OpenFlowTables } from '../api/ovs.ts';
import type { Failure, Result } from '../api/result.ts';
import { networkOf } from '../lab/network.ts';
import type { NetworkSwitch } from '../lab/ovs-network.ts';
import type { Engines } from '../ovs/engines.ts';
import { type FormRequest, OpenFlowForms } from '../ovs/openflow-forms.ts';

/** Where a switch that leads nowhere has its files while it reads lines. */
const formsDirectory = '/run/netloom/forms';
const keptForms = 2000;

export interface OpenFlowOfDocument {
  /** By `linkKey`. */
  readonly forms: ReadonlyMap<string, OpenFlowTables>;
  /** Why lines of the document cannot be had. */
  readonly failures: readonly Failure[];
}

interface AskedBridge {
  readonly key: string;
  readonly namespace: string | null;
  readonly request: FormRequest;
  /** The request as text: what its form is kept by. */
  readonly id: string;
}

export class OpenFlowShelf {
  private readonly engines: Engines;
  private readonly forms = new OpenFlowForms(formsDirectory);
  private readonly known = new Map<string, Result<OpenFlowTables>>();

  constructor(engines: Engines) {
    this.engines = engines;
  }

  /** Asks for the forms of a document's lines, and reads what its bridges hold now. */
  async prepare(document: LabDocument | null): Promise<void> {
    const asked = document === null ? [] : bridgesOf(document);
    const unknown = asked.filter(({ id }) => !this.known.has(id));
    if (unknown.length > 0) {
      const formed = await this.forms.formsOf(unknown.map(({ request }) => request));
      for (const [index, { id }] of unknown.entries()) {
        const form = formed.ok ? formed.value[index] : formed;
        if (form !== undefined) this.known.set(id, form);
      }
      for (const key of this.known.keys()) {
        if (this.known.size <= keptForms) break;
        this.known.delete(key);
      }
    }
    for (const { namespace, request } of asked) {
      if (this.engines.findBridge(namespace, request.bridge) === null) continue;
      await this.engines.readTables(namespace, request.bridge);
    }
  }

  /** What `prepare` has found; lines that nobody asked about are left out. */
  of(document: LabDocument | null): OpenFlowOfDocument {
    const forms = new Map<string, OpenFlowTables>();
    const failures: Failure[] = [];
    for (const { key, id } of document === null ? [] : bridgesOf(document)) {
      const form = this.known.get(id);
      if (form === undefined) continue;
      if (form.ok) forms.set(key, form.value);
      else failures.push(form.failure);
    }
    return { forms, failures };
  }
}

const bridgesByDocument = new WeakMap<LabDocument, readonly AskedBridge[]>();

/** Of a document that is looked at again and again. */
function bridgesOf(document: LabDocument): readonly AskedBridge[] {
  const known = bridgesByDocument.get(document);
  if (known !== undefined) return known;
  const hasBridges = Object.values(document.topology.nodes).some(
    ({ kind }) => kind === 'ovs-bridge',
  );
  const asked = hasBridges
    ? [...networkOf(document).switches].flatMap(([key, one]) => requestOf(key, one))
    : [];
  bridgesByDocument.set(document, asked);
  return asked;
}

function requestOf(key: string, one: NetworkSwitch): readonly AskedBridge[] {
  const { openFlow, bridge, namespace } = one;
  if (openFlow === null) return [];
  const ports = bridge.ports.flatMap(({ interfaces }) =>
    interfaces.map(({ name, openFlowPort }) => ({ name, openFlowPort })),
  );
  const request = { bridge: one.name, protocols: bridge.protocols, ports, tables: openFlow };
  return [{ key, namespace, request, id: JSON.stringify(request) }];
}
