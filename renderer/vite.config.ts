import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

const here = (path: string) => decodeURIComponent(new URL(path, import.meta.url).pathname);

/** One set of files for both doors: relative addresses work below http://127.0.0.1 and app:// alike. */
export default defineConfig({
  root: here('.'),
  base: './',
  plugins: [vue()],
  define: {
    __VUE_I18N_FULL_INSTALL__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  build: {
    outDir: here('../dist/renderer'),
    emptyOutDir: true,
    // Chromium alone: Electron's, or what the person's browser shell opens.
    target: 'chrome120',
    // A data: address would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
  },
  server: { host: '127.0.0.1', fs: { allow: [here('..')] } },
});
