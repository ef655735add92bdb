import { createPinia } from 'pinia';
import { createApp } from 'vue';
import { z } from 'zod';
import { bridgeAddress, webSocketCarrier } from '../bridge/web-socket-carrier.ts';
import { installBridge } from '../bridge/bridge.ts';
import { createBridge } from '../bridge/client.ts';
import type { Carrier } from '../bridge/carrier.ts';
import { electronCarrier } from '../bridge/electron-carrier.ts';
import { adoptInlineStyles } from './adopted-styles.ts';
import App from './App.vue';
import { i18n } from './text/text.ts';
import '@xterm/xterm/css/xterm.css';
import './theme.css';

// The content security policy forbids generated code, which zod would otherwise try.
z.config({ jitless: true });
adoptInlineStyles();

async function chooseCarrier(): Promise<Carrier> {
  if (import.meta.env.DEV && new URLSearchParams(location.search).has('stand-in')) {
    const { standInCarrier } = await import('../dev/stand-in.ts');
    return standInCarrier();
  }
  if (window.netloom !== undefined) return electronCarrier(window.netloom);
  return webSocketCarrier(bridgeAddress(location.href));
}

installBridge(createBridge(await chooseCarrier()));
createApp(App).use(createPinia()).use(i18n).mount('#app');
