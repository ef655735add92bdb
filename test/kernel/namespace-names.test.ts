import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  closeNamespace,
  createAnonymousNamespace,
  createNamespace,
  inodeOf,
  listMountedNamespaces,
  listNamedNamespaces,
  listProcessNamespaces,
  nameNamespace,
  openNamespaceByName,
  openNamespaceOfProcess,
  removeNamespace,
  runIn,
  watchNamedNamespaces,
} from '../../agent/kernel/namespaces.ts';
import { errnoOf, must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

beforeAll(requirePrivateNamespaces);

const here = (): string => readlinkSync('/proc/thread-self/ns/net');

describe('named namespaces', () => {
  it('are seen and used by ip, and those of ip by us', () => {
    const ours = uniqueName('ours');
    const theirs = uniqueName('theirs');
    const handle = must(createNamespace(ours));
    execFileSync('ip', ['netns', 'add', theirs]);
    const listed = JSON.parse(execFileSync('ip', ['-j', 'netns', 'list']).toString()) as {
      name: string;
    }[];
    expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining([ours, theirs]));
    const inside = execFileSync('ip', ['netns', 'exec', ours, 'readlink', '/proc/self/ns/net']);
    expect(inside.toString().trim()).toBe(`net:[${inodeOf(handle.identity)}]`);
    const named = must(listNamedNamespaces());
    expect(named.map(({ name }) => name)).toEqual(expect.arrayContaining([ours, theirs]));
    expect(named.find(({ name }) => name === ours)?.identity).toBe(handle.identity);
    expect(must(listMountedNamespaces())).toContainEqual({
      path: `/run/netns/${ours}`,
      identity: handle.identity,
    });
    must(removeNamespace(theirs));
    execFileSync('ip', ['netns', 'del', ours]);
    expect(existsSync(`/run/netns/${theirs}`)).toBe(false);
    expect(must(listNamedNamespaces())).toEqual([]);
    expect(errnoOf(removeNamespace(theirs))).toBe('ENOENT');
    closeNamespace(handle);
  });

  it('are not confused with left-over files', () => {
    const name = uniqueName('plain');
    closeNamespace(must(createNamespace(uniqueName('other'))));
    writeFileSync(`/run/netns/${name}`, '');
    expect(must(listNamedNamespaces()).map((entry) => entry.name)).not.toContain(name);
    expect(errnoOf(openNamespaceByName(name))).toBe('EINVAL');
    expect(errnoOf(createNamespace(name))).toBe('EEXIST');
    must(removeNamespace(name));
    for (const entry of readdirSync('/run/netns')) must(removeNamespace(entry));
    expect(() => createNamespace('../escape')).toThrow(RangeError);
  });

  it('can be given to an unnamed one later', () => {
    const name = uniqueName('later');
    const handle = must(createAnonymousNamespace());
    must(nameNamespace(handle, name));
    closeNamespace(handle);
    const opened = must(openNamespaceByName(name));
    expect(opened.identity).toBe(handle.identity);
    closeNamespace(opened);
    must(removeNamespace(name));
  });

  it('are told when they come', async () => {
    const name = uniqueName('watched');
    const heard = new Set<string>();
    const watch = must(watchNamedNamespaces((changed) => heard.add(changed)));
    execFileSync('ip', ['netns', 'add', name]);
    await expect.poll(() => [...heard], { interval: 5 }).toContain(name);
    watch.stop();
    must(removeNamespace(name));
  });
});

describe('entering a namespace', () => {
  it('ends where it began, nested and after an error', () => {
    const home = here();
    const one = must(createAnonymousNamespace());
    const two = must(createAnonymousNamespace());
    const seen = must(
      runIn(one.fd, () => {
        const outer = here();
        const inner = must(runIn(two.fd, here));
        return [outer, inner, here()];
      }),
    );
    expect(seen).toEqual([
      `net:[${inodeOf(one.identity)}]`,
      `net:[${inodeOf(two.identity)}]`,
      `net:[${inodeOf(one.identity)}]`,
    ]);
    expect(() =>
      runIn(one.fd, () => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(here()).toBe(home);
    expect(() => runIn(one.fd, () => Promise.resolve())).toThrow(TypeError);
    expect(here()).toBe(home);
    expect(errnoOf(runIn(9999, here))).toBe('EBADF');
    closeNamespace(one);
    closeNamespace(two);
  });

  it('finds the processes in it', async () => {
    const handle = must(createAnonymousNamespace());
    const child = must(runIn(handle.fd, () => spawn('sleep', ['60'])));
    const pid = child.pid ?? 0;
    const held = must(listProcessNamespaces());
    expect(held.find(({ pids }) => pids.includes(pid))?.inode).toBe(inodeOf(handle.identity));
    expect(held.find(({ pids }) => pids.includes(process.pid))?.pids).not.toContain(pid);
    const opened = must(openNamespaceOfProcess(pid));
    expect(opened.identity).toBe(handle.identity);
    closeNamespace(opened);
    child.kill();
    await once(child, 'exit');
    closeNamespace(handle);
  });
});
