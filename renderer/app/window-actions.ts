import { labNamePattern, namespaceOfNode } from '../../agent/api/index.ts';
import type { GalleryEntry, LibraryEntry, OpenDocument } from '../../main/bridge/contract.ts';
import { useBridge } from '../bridge/bridge.ts';
import { useConsoles } from '../console/console-store.ts';
import { isSplitAlone } from '../cpu/split-alone.ts';
import { useRealms } from '../inventory/realm-store.ts';
import { freeLabName, useLibrary } from '../library/library-store.ts';
import { useLab } from '../topology/lab-store.ts';
import { useDialogs } from './dialog-store.ts';
import { useNotices } from './notice-store.ts';
import { useSettings, type View } from './settings-store.ts';
import { useText } from './text/text.ts';

/** What a person can do from more than one place of the window: buttons, menus, shortcuts, the command list. */
export function useWindowActions() {
  const settings = useSettings();
  const dialogs = useDialogs();
  const notices = useNotices();
  const library = useLibrary();
  const lab = useLab();
  const realms = useRealms();
  const consoles = useConsoles();
  const { t } = useText();

  const show = (view: View) => settings.update({ view });
  const showDrawer = (tab: string) => {
    settings.setLayout('drawerOpen', true);
    settings.setLayout('drawerTab', tab);
  };
  const openDocument = async (opened: OpenDocument | null): Promise<boolean> => {
    if (opened === null) return false;
    await lab.openDocument(opened);
    show(isSplitAlone(lab.document) ? 'cpu' : 'topology');
    return true;
  };
  const plan = async (wish: Parameters<typeof lab.makePlan>[0]) => {
    showDrawer('plan');
    const made = await lab.makePlan(wish);
    return made;
  };
  const bringUp = async () => {
    showDrawer('plan');
    await lab.bringUp();
  };
  const askName = (title: string, confirm: string, initial: string) => {
    const taken = new Set(library.entries.map((entry) => entry.name));
    return dialogs.ask({
      title,
      confirm,
      initial: freeLabName(initial, taken),
      label: t('library.name'),
      hint: t('library.nameHint'),
      validate: (name) => {
        if (!labNamePattern.test(name)) return t('library.nameHint');
        return taken.has(name) ? t('library.nameTaken', { name }) : null;
      },
    });
  };

  return {
    show,
    showDrawer,
    plan,
    bringUp,
    openGallery: async (entry: GalleryEntry) => openDocument(await library.openGallery(entry.name)),
    async bringUpGallery(entry: GalleryEntry) {
      if (await openDocument(await library.openGallery(entry.name))) await bringUp();
    },
    openEntry: async (entry: LibraryEntry) =>
      lab.path === entry.path
        ? show(isSplitAlone(lab.document) ? 'cpu' : 'topology')
        : void (await openDocument(await library.open(entry.path))),
    async bringUpEntry(entry: LibraryEntry) {
      if (await openDocument(await library.open(entry.path))) await bringUp();
    },
    async takeDownEntry(entry: LibraryEntry) {
      const choice = await dialogs.confirm({
        title: t('library.takeDownTitle', { name: entry.name }),
        sentence: t('library.takeDownSentence'),
        confirm: t('library.takeDown'),
        tone: 'bad',
      });
      if (choice !== 'confirm') return;
      if (await library.takeDown(entry.name))
        notices.tell(t('library.isDown', { name: entry.name }));
    },
    async create() {
      const name = await askName(t('library.createTitle'), t('library.create'), 'lab');
      if (name !== null) await openDocument(await library.create(name));
    },
    async duplicate(entry: LibraryEntry) {
      const name = await askName(
        t('library.duplicateTitle', { name: entry.name }),
        t('library.duplicate'),
        entry.name,
      );
      if (name !== null) await library.duplicate(entry.path, name);
    },
    async rename(entry: LibraryEntry) {
      const name = await askName(
        t('library.renameTitle', { name: entry.name }),
        t('library.rename'),
        entry.name,
      );
      if (name === null) return;
      const open = lab.path === entry.path;
      if (open) await lab.save();
      const renamed = await library.rename(entry.path, name);
      if (open && renamed !== null) await lab.openDocument(renamed);
    },
    async remove(entry: LibraryEntry) {
      const choice = await dialogs.confirm({
        title: t('library.deleteTitle', { name: entry.name }),
        sentence: t('library.deleteSentence', { path: entry.path }),
        confirm: t('library.delete'),
        tone: 'bad',
      });
      if (choice !== 'confirm') return;
      if (lab.path === entry.path) await lab.close();
      await library.remove(entry.path);
    },
    openConsole(node: string | null, another = false) {
      const overview = lab.overview;
      if (overview === null) return;
      if (realms.current?.state !== 'running') {
        notices.tell(t('console.needsRealm'), 'info');
        return;
      }
      // A bridge has no processes of its own: its console is that of the namespace it sits in.
      const found = node === null ? undefined : lab.document?.topology.nodes[node];
      const place = node === null || found === undefined ? node : namespaceOfNode(node, found);
      consoles.open(
        overview.realm,
        place === null ? { kind: 'realm' } : { kind: 'node', lab: lab.name, node: place },
        another,
      );
      // The drawer is below every view of the lab.
      if (settings.settings.view !== 'cpu') show('topology');
      showDrawer('console');
    },
    async quit() {
      await lab.save();
      await settings.flush();
      await library.load();
      const running = library.entries.filter((entry) =>
        ['up', 'changed', 'drifted'].includes(entry.state),
      );
      let labs: 'keep' | 'down' = 'keep';
      if (running.length > 0) {
        const choice = await dialogs.confirm({
          title: t('quit.title'),
          sentence: t('quit.sentence', {
            count: running.length,
            names: running.map((entry) => entry.name).join(', '),
          }),
          confirm: t('quit.keep'),
          alternative: t('quit.down'),
          tone: 'plain',
        });
        if (choice === 'cancel') return;
        labs = choice === 'confirm' ? 'keep' : 'down';
      }
      const result = await useBridge().call('app.quit', { labs });
      // The answer may be lost with the program that gives it.
      if (!result.ok && result.failure.kind !== 'unreachable') {
        notices.fail(result.failure, [], 'quit');
        return;
      }
      dialogs.ended = true;
    },
  };
}
