import {
  cpuGroupNamePattern,
  type InterfaceState,
  type LabDocument,
} from '../../agent/api/index.ts';
import { type GroupPath, joinPath, parentPath } from '../../agent/cpu/group.ts';
import { useNotices } from '../app/notice-store.ts';
import { useSettings } from '../app/settings-store.ts';
import { useText } from '../app/text/text.ts';
import { useWindowActions } from '../app/window-actions.ts';
import { useDialogs } from '../app/dialog-store.ts';
import { useBridge } from '../bridge/bridge.ts';
import { useRealms } from '../inventory/realm-store.ts';
import type { Selection } from './canvas/selection.ts';
import { newDevice, takesDevice } from './document/devices.ts';
import { groupsIn } from './document/cpu-edit.ts';
import type { AddedKind } from './document/node-kinds.ts';
import {
  firstFree,
  freeInterfaceName,
  freeNodeName,
  interfaceNames,
  newNode,
  type NewNodeKind,
} from './document/document-edit.ts';
import { useCapabilities } from './capability-store.ts';
import { useLab } from './lab-store.ts';
import { freeForPort, freePosition, linkOf, settingsOf } from './live.ts';

/** Milliseconds that a flap lasts. */
export const flapMilliseconds = 1_000;

/** What a virtual machine that names no system of its own needs, as `agent/lab/requirements.ts` has it. */
const requirementsOfMachines = [
  'link:tap',
  'program:qemu-system-x86_64',
  'program:socat',
  'guest-system',
];

/** A free name for an end of a wire between two Open vSwitch bridges. */
function patchName(document: LabDocument, node: string, toward: string, patch: boolean): string {
  if (!patch) return freeInterfaceName(document, node, toward);
  const taken = interfaceNames(document, node);
  const name = `p-${toward}`.slice(0, 15);
  return taken.has(name) ? firstFree('patch', 1, (each) => taken.has(each)) : name;
}

/** What a person does to the lab from buttons, menus and keys alike. */
export function useTopologyActions() {
  const lab = useLab();
  const settings = useSettings();
  const actions = useWindowActions();
  const dialogs = useDialogs();
  const { t } = useText();

  const capabilities = useCapabilities();
  const bridge = useBridge();
  const notices = useNotices();
  const realms = useRealms();

  /** The node that a device would be added to: the one that is selected, or that has what is selected. */
  const chosenNode = (): string | null => {
    const { selection, document } = lab;
    if (selection?.kind !== 'node' && selection?.kind !== 'interface') return null;
    return document !== null && selection.node in document.topology.nodes ? selection.node : null;
  };

  const blur = () => {
    // A field in the middle of being typed belongs to what is planned.
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  };
  const showPlanOf = async (step: () => Promise<unknown>) => {
    blur();
    const before = lab.shownPlan;
    await step();
    if (lab.shownPlan !== before && lab.shownPlan !== null) actions.showDrawer('plan');
  };

  const renameGroup = async (group: GroupPath) => {
    const parent = parentPath(group);
    if (parent === null) return;
    const name = group.slice(group.lastIndexOf('/') + 1);
    const to = await dialogs.ask({
      title: t('canvas.renameTitle', { name }),
      label: t('inspector.name'),
      hint: t('cpu.nameHint'),
      initial: name,
      confirm: t('canvas.rename'),
      validate: (text) => {
        if (!cpuGroupNamePattern.test(text)) return t('cpu.nameHint');
        return text !== name && lab.document !== null && text in groupsIn(lab.document, parent)
          ? t('cpu.nameTaken', { name: text })
          : null;
      },
    });
    if (to === null || to === name) return;
    const against = await lab.objection([{ kind: 'rename-cpu-group', group, to }]);
    if (against !== null) {
      notices.fail(against, [], 'edit');
      return;
    }
    if (lab.edit([{ kind: 'rename-cpu-group', group, to }])) {
      lab.selection = { kind: 'cpu-group', group: joinPath(parent, to) };
    }
  };

  return {
    async plan() {
      blur();
      await actions.plan({ kind: 'document' });
    },
    async down() {
      blur();
      await actions.plan({ kind: 'down' });
    },
    undo: () => showPlanOf(() => lab.undo()),
    redo: () => showPlanOf(() => lab.redo()),
    /** Apply never does what was not shown: without a plan it makes one and stops there. */
    async applyOrPlan() {
      blur();
      await lab.settled();
      actions.showDrawer('plan');
      if (lab.canApply) await lab.apply();
      else await lab.makePlan({ kind: 'document' });
    },
    async runChecks() {
      actions.showDrawer('checks');
      await lab.check();
    },
    chosenNode,
    /** Why the machine cannot have such a device; null when it can, as far as is known. */
    lackOfDevice(kind: AddedKind, node: string | null = null): string | null {
      // Open vSwitch has tunnels and bonds of its own.
      const { nodes = {} } = lab.document?.topology ?? {};
      const candidates = node === null ? Object.values(nodes) : [nodes[node]];
      const ovs = candidates.some(
        (each) => each?.kind === 'ovs-bridge' && takesDevice(each.kind, kind),
      );
      if (ovs && kind !== 'tap') return null;
      const lack = capabilities.lackOf(`link:${kind}`);
      if (lack === null) return null;
      // What the kernel lacks is said in the person's language; what else may be wrong comes as it is.
      const said =
        lack.reason === null || lack.reason.startsWith('The kernel does not have it')
          ? t('palette.lackingKind', { kind: t(`device.${kind}`) })
          : t('palette.lacking', { reason: lack.reason });
      return lack.remedy === null
        ? said
        : `${said} ${t('palette.remedy', { command: lack.remedy })}`;
    },
    /** Why such a device cannot be added to a node; null when it can. */
    againstDevice(node: string, kind: AddedKind): string | null {
      const { document } = lab;
      const wanted = document?.topology.nodes[node];
      if (document === null || wanted === undefined) return t('palette.chooseNode');
      if (!takesDevice(wanted.kind, kind)) return t('palette.notThere', { node });
      if (newDevice(document, node, kind) !== null) return null;
      return t(kind === 'physical' ? 'palette.onlyOutside' : 'palette.noGround', { node });
    },
    /** Adds a device to a node, on the interface that is selected where it stands on one, and selects it. */
    addDevice(node: string, kind: AddedKind) {
      const { document, selection } = lab;
      if (document === null) return;
      const parent =
        selection?.kind === 'interface' && selection.node === node ? selection.interface : null;
      const made = newDevice(document, node, kind, parent, freeForPort(realms.inventory));
      if (made === null) return;
      const { name, settings: first } = made;
      if (lab.edit([{ kind: 'set-interface', node, interface: name, settings: first }])) {
        lab.selection = { kind: 'interface', node, interface: name };
      }
    },
    /** Why a virtual machine is not to be had here; null when it is, or when nobody has tried. */
    lackOfMachine(): string | null {
      const [lack] = requirementsOfMachines.flatMap((name) => capabilities.lackOf(name) ?? []);
      if (lack === undefined) return null;
      const said = t('palette.lacking', { reason: lack.reason ?? lack.name });
      return lack.remedy === null
        ? said
        : `${said} ${t('palette.remedy', { command: lack.remedy })}`;
    },
    /** Whether an interface of the lab is up or down in the kernel; null for one that is not there. */
    interfaceState(node: string, name: string): InterfaceState | null {
      if (!lab.up || lab.document === null) return null;
      // It keeps its settings, its state with them.
      if (settingsOf(lab.document, node, name).kind === 'physical') return null;
      const link = linkOf(realms.inventory, lab.document, node, name);
      if (link === null || (link.lab !== null && link.lab !== lab.name)) return null;
      return link.up ? 'up' : 'down';
    },
    /** In the kernel alone, at once: a cable that is pulled asks nobody. `flap` comes up again by itself. */
    async setInterfaceState(node: string, name: string, state: InterfaceState | 'flap') {
      const set = await bridge.call('interface.setState', {
        lab: lab.name,
        node,
        interface: name,
        state: state === 'flap' ? 'down' : state,
        forMilliseconds: state === 'flap' ? flapMilliseconds : null,
      });
      notices.judge('interface', set);
    },
    addNode(kind: NewNodeKind) {
      if (lab.document === null) return;
      const name = freeNodeName(lab.document, kind);
      const position = freePosition(lab.document);
      if (lab.edit([{ kind: 'add-node', name, node: newNode(kind), position }])) {
        lab.selection = { kind: 'node', node: name };
      }
    },
    /** Joins two Open vSwitch bridges, by a pair of patch ports or by a veth pair. */
    join(from: string, to: string, patch: boolean) {
      const { document } = lab;
      if (document === null) return;
      const index = document.topology.links?.length ?? 0;
      const endpoints: [string, string] = [
        `${from}:${patchName(document, from, to, patch)}`,
        `${to}:${patchName(document, to, from, patch)}`,
      ];
      // In one namespace the second name must not be the first.
      const [one, other] = endpoints.map((end) => end.slice(end.indexOf(':') + 1));
      if (one === other) endpoints[1] = `${to}:${other?.slice(0, 13)}-1`;
      if (lab.edit([{ kind: 'add-link', endpoints, ...(patch ? { patch } : {}) }])) {
        lab.selection = { kind: 'link', index };
      }
    },
    remove(selection: Selection | null) {
      switch (selection?.kind) {
        case 'node':
          if (lab.edit([{ kind: 'remove-node', name: selection.node }])) lab.selection = null;
          return;
        case 'link':
          if (lab.edit([{ kind: 'remove-link', index: selection.index }])) lab.selection = null;
          return;
        case 'interface': {
          const { node, interface: name } = selection;
          const removed = lab.edit([{ kind: 'remove-interface', node, interface: name }]);
          if (removed) lab.selection = null;
          return;
        }
        case 'cpu-group': {
          const parent = parentPath(selection.group);
          if (parent === null) return;
          if (lab.edit([{ kind: 'remove-cpu-group', group: selection.group }])) {
            lab.selection = { kind: 'cpu-group', group: parent };
          }
        }
      }
    },
    async rename() {
      const selection = lab.selection;
      if (selection?.kind === 'cpu-group') return renameGroup(selection.group);
      if (selection?.kind !== 'node') return;
      const name = selection.node;
      const others = new Set(Object.keys(lab.document?.topology.nodes ?? {}));
      others.delete(name);
      const to = await dialogs.ask({
        title: t('canvas.renameTitle', { name }),
        label: t('inspector.name'),
        hint: t('inspector.nameHint'),
        initial: name,
        confirm: t('canvas.rename'),
        validate: (text) => {
          if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(text)) return t('inspector.nameHint');
          return others.has(text) ? t('inspector.nameTaken', { name: text }) : null;
        },
      });
      if (to === null || to === name) return;
      if (lab.edit([{ kind: 'rename-node', name, to }])) lab.selection = { kind: 'node', node: to };
    },
    openConsole(another = false) {
      const selection = lab.selection;
      const node =
        selection?.kind === 'node' || selection?.kind === 'interface' ? selection.node : null;
      actions.openConsole(node, another);
    },
    closeDrawer: () => settings.setLayout('drawerOpen', false),
  };
}
