import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { containerName, containerOfControlGroup } from '../../../agent/inventory/containers.ts';
import { commandOf, namespaceMounts } from '../../../agent/inventory/holders.ts';

const id = 'a1'.repeat(32);

describe('a command line', () => {
  it('is one line of at most 200 characters', () => {
    expect(commandOf('sh\0-c\0echo one\necho two\0')).toBe('sh -c echo one echo two');
    expect(commandOf(`cat\0${'é'.repeat(300)}`)).toBe(`cat ${'é'.repeat(196)}`);
  });

  it('is missing for a kernel thread', () => {
    expect(commandOf('')).toBeNull();
    expect(commandOf('\0\0')).toBeNull();
  });
});

describe('the mount table', () => {
  it('tells mounted network namespaces and nothing else', () => {
    const table = [
      '24 1 0:22 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=100k',
      '90 24 0:4 net:[4026532201] /run/netns/r1 rw shared:9 - nsfs nsfs rw',
      '91 24 0:4 net:[4026532202] /run/with\\040blank rw - nsfs nsfs rw',
      '92 24 0:4 mnt:[4026532203] /run/snapd/ns/x.mnt rw - nsfs nsfs rw',
      '93 24 0:50 / /run/fake\\040-\\040nsfs rw - tmpfs net:[1] rw',
      '',
    ].join('\n');
    expect(namespaceMounts(table)).toEqual([
      { path: '/run/netns/r1', inode: 4026532201 },
      { path: '/run/with blank', inode: 4026532202 },
    ]);
  });
});

describe('a control group', () => {
  it.each([
    ['docker', `0::/system.slice/docker-${id}.scope\n`],
    ['docker', `12:cpu:/docker/${id}\n0::/docker/${id}\n`],
    ['podman', `0::/machine.slice/libpod-${id}.scope/container\n`],
    ['podman', `0::/user.slice/user-1000.slice/user@1000.service/libpod-payload-${id}\n`],
    ['containerd', `0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope\n`],
    ['containerd', `5:cpu:/kubepods/besteffort/pod12-34/${id}\n`],
  ] as const)('of %s names its container', (runtime, text) => {
    expect(containerOfControlGroup(text)).toEqual({ runtime, id });
  });

  it.each(['0::/user.slice/session-1.scope\n', '0::/\n', '', '0::/docker/short\n'])(
    'that is no container names none: %j',
    (text) => {
      expect(containerOfControlGroup(text)).toBeNull();
    },
  );
});

describe('the name of a container', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'netloom-containers-'));
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  function write(path: string, content: unknown): void {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }

  it('comes from docker without its slash', () => {
    write(`var/lib/docker/containers/${id}/config.v2.json`, { ID: id, Name: '/web' });
    expect(containerName({ runtime: 'docker', id }, root)).toBe('web');
  });

  it('comes from podman', () => {
    write('var/lib/containers/storage/overlay-containers/containers.json', [
      { id: 'other', names: ['no'] },
      { id, names: ['db'] },
    ]);
    expect(containerName({ runtime: 'podman', id }, root)).toBe('db');
  });

  it('comes from containerd', () => {
    write(`run/containerd/io.containerd.runtime.v2.task/default/${id}/config.json`, {
      annotations: { 'nerdctl/name': 'cache' },
    });
    expect(containerName({ runtime: 'containerd', id }, root)).toBe('cache');
  });

  it('is unknown where the files are missing or of another shape', () => {
    expect(containerName({ runtime: 'docker', id }, root)).toBeNull();
    write(`var/lib/docker/containers/${id}/config.v2.json`, '{');
    expect(containerName({ runtime: 'docker', id }, root)).toBeNull();
    write(`var/lib/docker/containers/${id}/config.v2.json`, { Name: 5 });
    expect(containerName({ runtime: 'docker', id }, root)).toBeNull();
  });
});
