/** show: what exists in a realm, as the kernel reports it. */
import {
  type Inventory,
  type LinkView,
  type NamespaceView,
  type RealmName,
  type Result,
  fail,
  succeed,
} from '../../agent/api/index.ts';
import { realmAbsent } from '../workbench/failures.ts';
import { awaitingWords } from './awaiting-verbs.ts';
import { type Context, parseRealm } from './context.ts';
import { printable, printFailure, printJson, printResult, type ExitCode } from './output.ts';

function nameOf(namespace: NamespaceView): string {
  if (namespace.root) return 'the realm';
  const [name = namespace.container ?? namespace.mounts[0] ?? `namespace ${namespace.id}`] =
    namespace.names;
  return name;
}

function describeLink(link: LinkView, inventory: Inventory): string {
  const find = (id: string | null): LinkView | undefined =>
    inventory.links.find((other) => other.id === id);
  const placeOf = (other: LinkView): string => {
    const namespace = inventory.namespaces.find(({ id }) => id === other.namespace);
    return `${namespace === undefined ? '?' : nameOf(namespace)}:${other.name}`;
  };
  const peer = find(link.peer);
  const master = find(link.master);
  return [
    `  ${link.name}`,
    link.kind,
    link.up ? link.operationalState : 'down',
    `mtu ${String(link.mtu)}`,
    ...(peer === undefined ? [] : [`↔ ${placeOf(peer)}`]),
    ...(master === undefined ? [] : [`in ${master.name}`]),
    ...link.addresses.map(({ address }) => address),
    ...(link.lab === null ? [] : [`[${link.lab}]`]),
  ].join(' ');
}

export function describeInventory(realm: string, inventory: Inventory): string {
  const lines = [realm];
  for (const namespace of inventory.namespaces) {
    const lab = namespace.lab === null ? '' : ` [${namespace.lab}]`;
    lines.push(printable(`${nameOf(namespace)}${lab}`));
    for (const link of inventory.links.filter((one) => one.namespace === namespace.id)) {
      lines.push(printable(describeLink(link, inventory)));
    }
  }
  return lines.join('\n');
}

async function realmsToShow(
  context: Context,
  wish: RealmName | null,
): Promise<Result<readonly RealmName[]>> {
  if (wish !== null) return succeed([wish]);
  const running = (await context.workbench.realms())
    .filter(({ state }) => state === 'running')
    .map(({ realm }) => realm);
  return running.length > 0 ? succeed(running) : fail(realmAbsent('sandbox'));
}

export async function show(
  context: Context,
  options: { readonly realm?: string; readonly json?: boolean },
): Promise<ExitCode> {
  const json = options.json === true;
  const wish = parseRealm(options.realm, null);
  const realms = wish.ok ? await realmsToShow(context, wish.value) : wish;
  if (!realms.ok) return printFailure(realms.failure, json);
  const shown: { readonly realm: RealmName; readonly inventory: Inventory }[] = [];
  for (const realm of realms.value) {
    const inventory = await context.workbench.inventory(realm);
    if (!inventory.ok) return printFailure(inventory.failure, json);
    shown.push({ realm, inventory: inventory.value });
  }
  if (!json) {
    for (const { lab, realm, status } of context.workbench.awaiting()) {
      if (realms.value.includes(realm)) printResult(`${lab} ${awaitingWords(status)} (${realm})`);
    }
  }
  if (json) printJson({ realms: shown });
  else printResult(shown.map((one) => describeInventory(one.realm, one.inventory)).join('\n\n'));
  return 0;
}

/**
 * Shows and goes on showing until Ctrl-C or until the realm ends. `context` publishes to `onMessage`, which the caller
 * has connected to `watcher.receive`.
 */
export async function watchInventory(
  context: Context,
  options: { readonly realm?: string; readonly json?: boolean },
  listen: (handler: (realm: RealmName) => void) => void,
): Promise<ExitCode> {
  const json = options.json === true;
  const wish = parseRealm(options.realm, null);
  const realms = wish.ok ? await realmsToShow(context, wish.value) : wish;
  if (!realms.ok) return printFailure(realms.failure, json);
  const print = async (realm: RealmName): Promise<boolean> => {
    const inventory = await context.workbench.inventory(realm);
    if (!inventory.ok) return false;
    if (json) {
      process.stdout.write(`${JSON.stringify({ realm, inventory: inventory.value })}\n`);
    } else {
      printResult(`${describeInventory(realm, inventory.value)}\n`);
    }
    return true;
  };
  const watched = new Set(realms.value);
  return new Promise((resolve) => {
    const waiting = new Map<RealmName, NodeJS.Timeout>();
    const later = (realm: RealmName): void => {
      if (!watched.has(realm) || waiting.has(realm)) return;
      waiting.set(
        realm,
        setTimeout(() => {
          waiting.delete(realm);
          void print(realm).then((there) => {
            if (there) return;
            watched.delete(realm);
            if (watched.size === 0) resolve(3);
          });
        }, 100),
      );
    };
    listen(later);
    process.once('SIGINT', () => {
      resolve(0);
    });
    process.once('SIGTERM', () => {
      resolve(0);
    });
    context.workbench.watch();
    for (const realm of watched) later(realm);
  });
}
