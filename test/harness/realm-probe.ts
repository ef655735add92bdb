/**
 * What a shell cannot try, tried from inside a realm: `node realm-probe.mjs PROBE [ARGUMENT]`. Exits with 0 when it
 * worked; otherwise it prints the errno's name and exits with 1.
 */
import { createConnection, createServer } from 'node:net';
import { errnoName } from '../../agent/kernel/kernel-failure.ts';
import {
  AF_INET,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  OPEN_TREE_CLONE,
  openSocket,
  openTree,
  setMountAttributesOf,
  SOCK_RAW,
} from '../../agent/kernel/native.ts';

const [probe = '', argument = ''] = process.argv.slice(2);

function settle(result: number): void {
  if (result >= 0) return;
  process.stdout.write(errnoName(-result));
  process.exit(1);
}

function clearReadOnly(directory: number, path: string, flags: number): number {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(1n, 8);
  return setMountAttributesOf(directory, path, flags, attributes);
}

switch (probe) {
  case 'raw-socket':
    settle(openSocket(AF_INET, SOCK_RAW, 1));
    break;
  case 'make-writable':
    settle(clearReadOnly(AT_FDCWD, argument, 0));
    break;
  case 'clone-and-make-writable': {
    const tree = openTree(AT_FDCWD, argument, OPEN_TREE_CLONE | AT_RECURSIVE);
    settle(tree);
    settle(clearReadOnly(tree, '', AT_EMPTY_PATH));
    break;
  }
  case 'connect':
    createConnection(argument.replace(/^@/, '\0'))
      .on('connect', () => process.exit(0))
      .on('error', (error: NodeJS.ErrnoException) => {
        process.stdout.write(error.code ?? '');
        process.exit(1);
      });
    break;
  case 'listen':
    createServer((socket) => socket.end('from inside')).listen(argument);
    break;
  default:
    throw new Error(`there is no probe ${probe}`);
}
