// The layers of ARCHITECTURE.md as rules, and the house style that a formatter cannot keep.
import eslint from '@eslint/js';
import vue from 'eslint-plugin-vue';
import globals from 'globals';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import typescript from 'typescript-eslint';
import { layers } from './layers.js';

const root = path.resolve(fileURLToPath(new URL('../..', import.meta.url)));
const sources = ['agent/**/*.ts', 'main/**/*.ts', 'renderer/**/*.{ts,vue}', 'test/**/*.ts'];

/** Packages that may be imported in one wrapper only. */
const wrapped = {
  koffi: ['agent/kernel/native.ts', 'agent/kernel/packet-filter.ts'],
  zeromq: ['agent/transport/socket.ts', 'main/agent-link/socket.ts'],
  'node:child_process': ['agent/kernel/process.ts', 'main/agent-link/process.ts'],
  child_process: [],
};

export default [
  { ignores: ['dist/**', 'out/**', 'node_modules/**', 'test-results/**'] },
  eslint.configs.recommended,
  ...typescript.configs.strict.map((entry) => ({ ...entry, files: sources })),
  ...vue.configs['flat/essential'].map((entry) => ({ ...entry, files: ['renderer/**/*.vue'] })),
  {
    files: ['renderer/**/*.vue'],
    languageOptions: { parserOptions: { parser: typescript.parser } },
  },
  {
    files: sources,
    plugins: { netloom: { rules: { layers } } },
    settings: { netloom: { root } },
    rules: {
      'netloom/layers': 'error',
      'no-undef': 'off',
      eqeqeq: 'error',
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true } }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
    },
  },
  {
    files: ['agent/**/*.ts', 'main/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: Object.keys(wrapped).map((name) => wrapper(name)) },
      ],
    },
  },
  ...Object.entries(wrapped).flatMap(([name, files]) =>
    files.length === 0
      ? []
      : [
          {
            files,
            rules: {
              'no-restricted-imports': [
                'error',
                {
                  paths: Object.keys(wrapped)
                    .filter((other) => other !== name)
                    .map((other) => wrapper(other)),
                },
              ],
            },
          },
        ],
  ),
  {
    files: ['main/app/**/*.ts'],
    ignores: ['main/app/trusted-ipc.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: "ImportSpecifier[imported.name='ipcMain']",
          message: 'ipcMain is used in main/app/trusted-ipc.ts only, where the sender is checked.',
        },
      ],
    },
  },
  {
    // Tool configurations must export by default.
    files: ['**/*.config.ts', 'test/**/*.config.*', 'renderer/env.d.ts'],
    rules: { 'no-restricted-exports': 'off' },
  },
  {
    files: ['renderer/**/*.vue'],
    rules: { 'no-restricted-exports': 'off', 'vue/multi-word-component-names': 'off' },
  },
  { files: ['**/*.{mjs,js}'], languageOptions: { globals: globals.node } },
];

function wrapper(name) {
  const homes = wrapped[name].length > 0 ? wrapped[name] : wrapped['node:child_process'];
  return { name, message: `${name} is imported in ${homes.join(' and ')} only.` };
}
