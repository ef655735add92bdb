import type { ITheme } from '@xterm/xterm';
import type { Theme } from '../app/settings-store.ts';

/** The sixteen colours, each of AA contrast on its ground; the ground is the theme's own. */
const themes: Readonly<Record<Theme, ITheme>> = {
  light: {
    background: '#eff1f4',
    foreground: '#1a1e24',
    cursor: '#2a58c5',
    cursorAccent: '#ffffff',
    selectionBackground: '#c9d7f7',
    black: '#1a1e24',
    red: '#b02626',
    green: '#1a6f40',
    yellow: '#845000',
    blue: '#2a58c5',
    magenta: '#8a3a9e',
    cyan: '#12687a',
    white: '#59626f',
    brightBlack: '#59626f',
    brightRed: '#b92828',
    brightGreen: '#1a7342',
    brightYellow: '#8a5200',
    brightBlue: '#234aa8',
    brightMagenta: '#7c3190',
    brightCyan: '#0f5c6c',
    brightWhite: '#1a1e24',
  },
  dark: {
    background: '#15191e',
    foreground: '#e4e7eb',
    cursor: '#86abff',
    cursorAccent: '#10151f',
    selectionBackground: '#33456e',
    black: '#3a424d',
    red: '#ff8a80',
    green: '#5ccb8f',
    yellow: '#e5ad4d',
    blue: '#86abff',
    magenta: '#d79be8',
    cyan: '#6cc9da',
    white: '#c9d0d8',
    brightBlack: '#8a94a1',
    brightRed: '#ffa79f',
    brightGreen: '#7fdcab',
    brightYellow: '#f2c473',
    brightBlue: '#a9c4ff',
    brightMagenta: '#e6b8f2',
    brightCyan: '#93dce8',
    brightWhite: '#ffffff',
  },
};

export function terminalTheme(theme: Theme): ITheme {
  return themes[theme];
}
