/** The browser shell: the program and its gateway. Entry of dist/main/gateway.js; `main/start/start.mjs` runs it. */
import path from 'node:path';
import { type Result, succeed } from '../../agent/api/index.ts';
import { startProgram } from '../workbench/program.ts';
import { startGateway } from './gateway.ts';

export interface BrowserShellOptions {
  readonly applicationRoot: string;
  /** 0 picks a free one. */
  readonly port: number;
}

export interface BrowserShell {
  /** Opens the window; holds the token. */
  readonly url: string;
  /** Resolves when the shell has closed, by `close` or by the person's word in a window. */
  readonly closed: Promise<void>;
  /** Closes windows and port; labs keep running. */
  close(): Promise<void>;
}

export async function startBrowserShell(
  options: BrowserShellOptions,
): Promise<Result<BrowserShell>> {
  let quit: () => void = () => undefined;
  const program = startProgram({
    applicationRoot: options.applicationRoot,
    shell: 'browser',
    quit: () => {
      quit();
    },
  });
  const gateway = await startGateway({
    attach: program.host.attach,
    rendererDirectory: path.join(options.applicationRoot, 'dist/renderer'),
    port: options.port,
  });
  if (!gateway.ok) {
    await program.close();
    return gateway;
  }
  let announce: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    announce = resolve;
  });
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= gateway.value.close().then(async () => {
      await program.close();
      announce();
    });
    return closing;
  };
  quit = () => void close();
  return succeed({ url: gateway.value.url, closed, close });
}
