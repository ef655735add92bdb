import { Menu, type MenuItemConstructorOptions } from 'electron';
import type { ShellText } from './shell-text.ts';

/**
 * The menu bar keeps to what the system expects of any window. The application's own commands are in the renderer, so
 * that both shells have the same ones with the same shortcuts.
 */
export function setApplicationMenu({ menu }: ShellText, development: boolean): void {
  const view: MenuItemConstructorOptions[] = [
    { role: 'resetZoom', label: menu.resetZoom },
    { role: 'zoomIn', label: menu.zoomIn },
    { role: 'zoomOut', label: menu.zoomOut },
    { type: 'separator' },
    { role: 'togglefullscreen', label: menu.fullScreen },
  ];
  if (development) {
    view.push({ type: 'separator' }, { role: 'toggleDevTools', label: menu.developerTools });
  }
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      { label: menu.file, submenu: [{ role: 'quit', label: menu.quit }] },
      {
        label: menu.edit,
        // Without undo and redo: in Netloom these belong to the lab.
        submenu: [
          { role: 'cut', label: menu.cut },
          { role: 'copy', label: menu.copy },
          { role: 'paste', label: menu.paste },
          { role: 'selectAll', label: menu.selectAll },
        ],
      },
      { label: menu.view, submenu: view },
    ]),
  );
}
