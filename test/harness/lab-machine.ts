/** What of the machine's own network no lab may change, as text to compare byte by byte. */
import { spawnSync } from 'node:child_process';

function read(...command: readonly [string, ...string[]]): string {
  const [program, ...args] = command;
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: '/' });
  // An ordinary user may not list rules; then both readings say so.
  return status === 0 ? stdout.toString() : `${String(status)}: ${stderr.toString()}`;
}

/** Lifetimes of leased addresses run down, and counters count. */
function still(text: string): string {
  return text
    .replaceAll(/"(?:valid_life_time|preferred_life_time|expires|used|age)":\d+/g, '')
    .replaceAll(/"(?:packets|bytes)": ?\d+/g, '');
}

export function readMachine(): Readonly<Record<string, string>> {
  return {
    namespaces: read('ip', 'netns', 'list'),
    ids: read('ip', '-j', 'netns', 'list-id'),
    links: still(read('ip', '-j', '-d', 'link', 'show')),
    addresses: still(read('ip', '-j', 'address', 'show')),
    routes: still(read('ip', '-j', '-4', 'route', 'show', 'table', 'all')),
    routes6: still(read('ip', '-j', '-6', 'route', 'show', 'table', 'all')),
    policies: read('ip', '-j', 'rule', 'show'),
    neighbours: read('ip', '-j', 'neighbour', 'show', 'nud', 'permanent'),
    rules: still(read('nft', '-j', 'list', 'ruleset')),
    forwarding: read(
      'sh',
      '-c',
      'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/bridge/* 2>/dev/null',
    ),
  };
}
