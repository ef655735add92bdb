import { Menu, type MenuItemConstructorOptions } from 'electron';

/**
 * The menu bar keeps to what the system expects of any window. The application's own commands are in the renderer, so
 * that both shells have the same ones with the same shortcuts.
 */
export function setApplicationMenu(development: boolean): void {
  const view: MenuItemConstructorOptions[] = [
    { role: 'resetZoom' },
    { role: 'zoomIn' },
    { role: 'zoomOut' },
    { type: 'separator' },
    { role: 'togglefullscreen' },
  ];
  if (development) view.push({ type: 'separator' }, { role: 'toggleDevTools' });
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      { role: 'fileMenu', submenu: [{ role: 'quit' }] },
      {
        role: 'editMenu',
        // Without accelerators for undo and redo: in Netloom these belong to the lab.
        submenu: [{ role: 'cut' }, { role: 'copy' }, { role: 'paste' }, { role: 'selectAll' }],
      },
      { role: 'viewMenu', submenu: view },
    ]),
  );
}
