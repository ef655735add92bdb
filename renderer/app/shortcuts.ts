import { onBeforeUnmount, onMounted } from 'vue';
import type { TextKey } from './text/text.ts';

/** Where a shortcut is listed in the dialog. */
export const shortcutGroups = ['go', 'lab', 'canvas', 'cpu', 'window'] as const;
export type ShortcutGroup = (typeof shortcutGroups)[number];

interface Shortcut {
  readonly keys: string;
  readonly group: ShortcutGroup;
  readonly text: TextKey;
  /** Handled by the canvas itself; listed here so that it is found. */
  readonly elsewhere?: true;
}

/** Every shortcut of the window: the dialog, the tooltips and the key handler read this table. */
export const shortcuts = {
  library: { keys: 'L', group: 'go', text: 'view.library' },
  topology: { keys: 'T', group: 'go', text: 'view.topology' },
  cpu: { keys: 'C', group: 'go', text: 'view.cpu' },
  inventory: { keys: 'H', group: 'go', text: 'view.inventory' },
  plan: { keys: 'Ctrl+Enter', group: 'lab', text: 'lab.plan' },
  apply: { keys: 'Ctrl+Shift+Enter', group: 'lab', text: 'lab.apply' },
  undo: { keys: 'Ctrl+Z', group: 'lab', text: 'lab.undo' },
  redo: { keys: 'Ctrl+Shift+Z', group: 'lab', text: 'lab.redo' },
  check: { keys: 'Ctrl+Shift+K', group: 'lab', text: 'checks.run' },
  addNamespace: { keys: 'N', group: 'canvas', text: 'palette.addNamespace' },
  addRouter: { keys: 'R', group: 'canvas', text: 'palette.addRouter' },
  addBridge: { keys: 'B', group: 'canvas', text: 'palette.addBridge' },
  addOvsBridge: { keys: 'O', group: 'canvas', text: 'palette.addOvsBridge' },
  addInternet: { keys: 'I', group: 'canvas', text: 'palette.addInternet' },
  addMachine: { keys: 'V', group: 'canvas', text: 'palette.addMachine' },
  wire: { keys: 'W', group: 'canvas', text: 'canvas.wire', elsewhere: true },
  addDevice: { keys: 'A', group: 'canvas', text: 'palette.addDevice', elsewhere: true },
  remove: { keys: 'Delete', group: 'canvas', text: 'canvas.remove' },
  rename: { keys: 'F2', group: 'canvas', text: 'canvas.rename' },
  console: { keys: 'Ctrl+`', group: 'canvas', text: 'console.open' },
  fit: { keys: 'F', group: 'canvas', text: 'canvas.fit' },
  zoomIn: { keys: '+', group: 'canvas', text: 'canvas.zoomIn' },
  zoomOut: { keys: '-', group: 'canvas', text: 'canvas.zoomOut' },
  addGroup: { keys: 'G', group: 'cpu', text: 'cpu.add' },
  addGroupInside: { keys: 'Shift+G', group: 'cpu', text: 'cpu.addInside' },
  splitGroup: { keys: 'S', group: 'cpu', text: 'cpu.split' },
  mergeGroups: { keys: 'M', group: 'cpu', text: 'cpu.merge' },
  drawer: { keys: 'Ctrl+J', group: 'window', text: 'drawer.toggle' },
  commands: { keys: 'Ctrl+K', group: 'window', text: 'commands.title' },
  shortcuts: { keys: '?', group: 'window', text: 'shortcuts.title' },
  settings: { keys: 'Ctrl+,', group: 'window', text: 'settings.title' },
} as const satisfies Record<string, Shortcut>;

export type ShortcutId = keyof typeof shortcuts;
export type ShortcutHandlers = Partial<Record<ShortcutId, () => void>>;

/** Entries of the table with the wide type, for listing. */
export const shortcutList: readonly (readonly [ShortcutId, Shortcut])[] = Object.entries(
  shortcuts,
).map(([id, shortcut]) => [id as ShortcutId, shortcut]);

/** `Ctrl+Shift+Z` of a key event, in the table's notation. */
export function keysOf(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  // Shift is part of the sign itself for `?`, `+` and the like.
  const shifted = event.shiftKey && (event.key.length > 1 || /[A-Z]/i.test(event.key));
  return [
    event.ctrlKey || event.metaKey ? 'Ctrl' : '',
    event.altKey ? 'Alt' : '',
    shifted ? 'Shift' : '',
    key,
  ]
    .filter((part) => part !== '')
    .join('+');
}

function editing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest('input:not([type=checkbox]):not([type=radio]), textarea, select') !== null
  );
}

/** A terminal whose process has ended takes no keys any more. */
const inTerminal = (target: EventTarget | null) =>
  target instanceof Element &&
  target.closest('.xterm') !== null &&
  target.closest('[data-ended]') === null;

/** While a text is typed only these mean the window and not the text. */
const whileEditing: ReadonlySet<ShortcutId> = new Set([
  'plan',
  'apply',
  'commands',
  'drawer',
  'settings',
  'check',
]);

/** Listens while the component lives. A terminal gets every key; a dialog keeps them all to itself. */
export function useShortcuts(handlers: ShortcutHandlers): void {
  const listen = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing || inTerminal(event.target)) return;
    if (document.querySelector('[role=dialog], [role=alertdialog], [role=menu]') !== null) return;
    const keys = keysOf(event);
    for (const [id, shortcut] of shortcutList) {
      const handler = handlers[id];
      if (shortcut.keys !== keys || handler === undefined) continue;
      if (editing(event.target) && !whileEditing.has(id)) return;
      event.preventDefault();
      handler();
      return;
    }
  };
  onMounted(() => window.addEventListener('keydown', listen));
  onBeforeUnmount(() => window.removeEventListener('keydown', listen));
}
