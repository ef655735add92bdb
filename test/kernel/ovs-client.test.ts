import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineCommands, engineFiles } from '../../agent/ovs/engine-commands.ts';
import { OvsdbClient } from '../../agent/ovs/ovsdb-client.ts';
import { mapOf, namedUuid, numberOf, setOf, textMapOf, textOf } from '../../agent/ovs/values.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import {
  endDatabases,
  eventually,
  freshDirectory,
  pidIn,
  startDatabase,
  vsctl,
} from './ovs-private.ts';

beforeAll(requirePrivateNamespaces);
afterAll(endDatabases);

const columns = {
  Open_vSwitch: ['next_cfg', 'external_ids', 'bridges'],
  Bridge: ['name', 'ports', 'external_ids', 'protocols', 'stp_enable', 'fail_mode'],
  Port: ['name', 'tag', 'trunks', 'interfaces'],
  Nothing: ['at', 'all'],
};

function names(client: OvsdbClient, table: string): readonly (string | null)[] {
  return [...(client.tables.get(table)?.values() ?? [])].map(({ name }) => textOf(name)).sort();
}

/** The client's copy of one bridge beside what the server says now. */
async function bothOf(client: OvsdbClient, table: string): Promise<[unknown, unknown]> {
  const [answer] = must(await client.transact([{ op: 'select', table, where: [] }]));
  const rows = Array.isArray(answer?.['rows']) ? answer['rows'] : [];
  const wanted = columns[table as keyof typeof columns];
  const there = rows.map((row: Record<string, unknown>) => [
    (row['_uuid'] as string[])[1],
    Object.fromEntries(wanted.map((column) => [column, sorted(row[column])])),
  ]);
  const copied = [...(client.tables.get(table) ?? [])].map(([id, row]) => [
    id,
    Object.fromEntries(wanted.map((column) => [column, sorted(row[column])])),
  ]);
  return [Object.fromEntries(copied), Object.fromEntries(there)];
}

/** Sets and maps have no order, and a set of one may be its element. */
function sorted(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const [kind, elements] = value as [string, unknown[]];
  if (kind === 'set' && elements.length === 1) return elements[0];
  if (kind !== 'set' && kind !== 'map') return value;
  return [kind, elements.map((element) => JSON.stringify(element)).sort()];
}

it('keeps a copy that is what the database says, however it is changed', async () => {
  const socket = startDatabase();
  vsctl(socket, '--no-wait', 'add-br', 'before');
  const client = must(await OvsdbClient.open(socket, { columns }));
  expect(client.schemaVersion).toMatch(/^8\./);
  expect(names(client, 'Bridge')).toEqual(['before']);
  const changes: readonly (readonly string[])[] = [
    ['add-br', 'one'],
    ['add-port', 'one', 'p1', 'tag=7'],
    ['set', 'Bridge', 'one', 'protocols=OpenFlow10,OpenFlow13', 'stp_enable=true'],
    ['set', 'Bridge', 'one', 'external_ids:a=b', 'external_ids:c=d', 'fail_mode=secure'],
    [
      'set',
      'Bridge',
      'one',
      'external_ids:a=x',
      '--',
      'remove',
      'Bridge',
      'one',
      'external_ids',
      'c',
    ],
    ['set', 'Port', 'p1', 'trunks=1,2,3', '--', 'clear', 'Port', 'p1', 'tag'],
    ['set', 'Port', 'p1', 'trunks=3,4'],
    ['clear', 'Bridge', 'one', 'protocols', '--', 'clear', 'Bridge', 'one', 'fail_mode'],
    ['del-br', 'before'],
  ];
  for (const change of changes) {
    vsctl(socket, '--no-wait', ...change);
    for (const table of ['Bridge', 'Port']) {
      await eventually(async () => {
        const [copied, there] = await bothOf(client, table);
        expect(copied).toEqual(there);
      });
    }
  }
  expect(names(client, 'Bridge')).toEqual(['one']);
  client.close();
});

it('carries out all operations of a transaction or none', async () => {
  const socket = startDatabase();
  const client = must(await OvsdbClient.open(socket, { columns }));
  const insertion = (name: string, tag: number) => [
    { op: 'insert', table: 'Interface', 'uuid-name': `i_${name}`, row: { name } },
    {
      op: 'insert',
      table: 'Port',
      'uuid-name': `p_${name}`,
      row: { name, tag, interfaces: namedUuid(`i_${name}`) },
    },
    {
      op: 'insert',
      table: 'Bridge',
      'uuid-name': `b_${name}`,
      row: { name, ports: setOf([namedUuid(`p_${name}`)]), external_ids: mapOf({ x: 'y' }) },
    },
    {
      op: 'mutate',
      table: 'Open_vSwitch',
      where: [],
      mutations: [['bridges', 'insert', setOf([namedUuid(`b_${name}`)])]],
    },
  ];
  const made = must(await client.transact(insertion('one', 5)));
  expect(made).toHaveLength(4);
  expect(names(client, 'Bridge')).toEqual(['one']);
  expect(await client.transact(insertion('two', 4096))).toMatchObject({
    ok: false,
    failure: {
      kind: 'refused',
      code: 'ovs-transaction-refused',
      values: { error: 'constraint violation' },
    },
  });
  expect(await client.transact(insertion('one', 6))).toMatchObject({
    failure: { kind: 'refused', values: { error: 'constraint violation' } },
  });
  const stale = await client.transact([
    {
      op: 'wait',
      timeout: 0,
      table: 'Port',
      where: [['name', '==', 'one']],
      columns: ['tag'],
      until: '==',
      rows: [{ tag: 6 }],
    },
    { op: 'update', table: 'Port', where: [['name', '==', 'one']], row: { tag: 9 } },
  ]);
  expect(stale).toMatchObject({ failure: { kind: 'stale-plan', code: 'ovs-database-changed' } });
  const [port] = client.tables.get('Port')?.values() ?? [];
  expect(numberOf(port?.['tag'])).toBe(5);
  client.close();
});

it('comes back to a database that was restarted, with what changed meanwhile', async () => {
  const directory = freshDirectory();
  const socket = startDatabase(directory);
  vsctl(socket, '--no-wait', 'add-br', 'one', '--', 'add-br', 'two');
  const client = must(await OvsdbClient.open(socket, { columns }));
  process.kill(pidIn(engineFiles(directory).databasePid), 'SIGKILL');
  await eventually(() => {
    expect(client.connected).toBe(false);
  });
  expect(await client.transact([{ op: 'comment', comment: 'x' }])).toMatchObject({
    failure: { kind: 'unreachable', code: 'ovs-unreachable' },
  });
  expect(names(client, 'Bridge')).toEqual(['one', 'two']);
  const [file = '', ...args] = engineCommands(directory, 'netdev').startDatabase;
  execFileSync(file, args, { stdio: 'pipe' });
  vsctl(socket, '--no-wait', 'del-br', 'two', '--', 'set', 'Bridge', 'one', 'external_ids:k=v');
  await eventually(() => {
    expect(client.connected).toBe(true);
    expect(names(client, 'Bridge')).toEqual(['one']);
  });
  const [bridge] = client.tables.get('Bridge')?.values() ?? [];
  expect(textMapOf(bridge?.['external_ids'])).toEqual(new Map([['k', 'v']]));
  client.close();
});

it('answers when the server asks whether it lives', async () => {
  const path = join(freshDirectory(), 'echo.sock');
  const answers: string[] = [];
  const server = createServer((peer) => {
    peer.on('data', (chunk: Buffer) => answers.push(chunk.toString()));
    peer.write('{"method":"echo","params":["é');
    peer.write('"],"id":"echo"}');
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const client = OvsdbClient.open(path, { timeout: 300 });
  expect(await client).toMatchObject({ failure: { kind: 'timeout', code: 'ovs-answer-late' } });
  expect(answers.join('')).toContain('{"result":["é"],"error":null,"id":"echo"}');
  server.close();
});

it('fails with a sentence where nobody answers, or somebody else does', async () => {
  const directory = freshDirectory();
  const failure = async (path: string) => {
    const opened = await OvsdbClient.open(path, { columns, timeout: 2000, limit: 1000 });
    return opened.ok ? 'ok' : opened.failure;
  };
  expect(await failure(join(directory, 'no.sock'))).toMatchObject({ kind: 'unreachable' });
  writeFileSync(join(directory, 'file'), '');
  expect(await failure(join(directory, 'file'))).toMatchObject({ kind: 'unreachable' });
  expect(await failure(`/tmp/${'x'.repeat(120)}`)).toMatchObject({ kind: 'unreachable' });
  for (const [name, text] of [
    ['words', 'HTTP/1.1 400 Bad Request\r\n'],
    ['large', `{"id":1,"error":null,"result":"${'x'.repeat(5000)}"}`],
    ['other', '{"id":1,"error":"unknown method","result":null}'],
  ] as const) {
    const path = join(directory, `${name}.sock`);
    const server = createServer((peer) => {
      peer.on('error', () => undefined);
      peer.write(text);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(await failure(path)).toMatchObject({ kind: 'unsupported', code: 'ovs-protocol' });
    server.close();
  }
});
