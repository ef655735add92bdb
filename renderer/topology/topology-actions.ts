import type { NodeKind } from '../../agent/api/index.ts';
import { useSettings } from '../app/settings-store.ts';
import { useText } from '../app/text/text.ts';
import { useWindowActions } from '../app/window-actions.ts';
import { useDialogs } from '../app/dialog-store.ts';
import type { Selection } from './canvas/selection.ts';
import { freeNodeName } from './document/document-edit.ts';
import { useLab } from './lab-store.ts';
import { freePosition } from './live.ts';

/** What a person does to the lab from buttons, menus and keys alike. */
export function useTopologyActions() {
  const lab = useLab();
  const settings = useSettings();
  const actions = useWindowActions();
  const dialogs = useDialogs();
  const { t } = useText();

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
    addNode(kind: NodeKind) {
      if (lab.document === null) return;
      const name = freeNodeName(lab.document, kind);
      const position = freePosition(lab.document);
      if (lab.edit([{ kind: 'add-node', name, node: { kind }, position }])) {
        lab.selection = { kind: 'node', node: name };
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
          const endpoint = `${selection.node}:${selection.interface}`;
          const links = lab.document?.topology.links ?? [];
          const index = links.findIndex((link) => link.endpoints.includes(endpoint));
          if (index >= 0 && lab.edit([{ kind: 'remove-link', index }])) lab.selection = null;
        }
      }
    },
    async rename() {
      const selection = lab.selection;
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
