/** Names of containers, from the control group of a process and the files that runtimes keep. */
import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';

export interface ContainerReference {
  readonly runtime: 'docker' | 'podman' | 'containerd';
  /** 64 hexadecimal digits. */
  readonly id: string;
}

/** Last parts of control-group paths: systemd's scopes (`docker-ID.scope`) and cgroupfs directories (`docker/ID`). */
const patterns: readonly (readonly [ContainerReference['runtime'], RegExp])[] = [
  ['docker', /\/docker[-/]([0-9a-f]{64})(?:\.scope)?(?:\/|$)/m],
  ['podman', /\/libpod-(?:payload-)?([0-9a-f]{64})(?:\.scope)?(?:\/|$)/m],
  ['containerd', /\/(?:cri-containerd|nerdctl|containerd)-([0-9a-f]{64})(?:\.scope)?(?:\/|$)/m],
  ['containerd', /\/kubepods[^\n]*\/([0-9a-f]{64})(?:\/|$)/m],
];

/** Pure: the container that a text of /proc/PID/cgroup names; null for a process of no container. */
export function containerOfControlGroup(text: string): ContainerReference | null {
  for (const [runtime, pattern] of patterns) {
    const id = pattern.exec(text)?.[1];
    if (id !== undefined) return { runtime, id };
  }
  return null;
}

const DockerStateSchema = z.object({ Name: z.string() });
const PodmanStateSchema = z.array(
  z.object({ id: z.string(), names: z.array(z.string()).optional() }),
);
const ContainerdStateSchema = z.object({
  annotations: z.record(z.string(), z.string()).optional(),
});

/** A runtime's state file, or undefined when it is missing, unreadable or of another shape. */
function readState<T>(path: string, schema: z.ZodType<T>): T | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

function directoriesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/**
 * The name that a person gave the container, from the runtime's own files below `root` (`/` outside tests); null
 * where they cannot be read or do not tell.
 */
export function containerName(reference: ContainerReference, root = ''): string | null {
  const { id, runtime } = reference;
  switch (runtime) {
    case 'docker': {
      const path = `${root}/var/lib/docker/containers/${id}/config.v2.json`;
      return readState(path, DockerStateSchema)?.Name.replace(/^\//, '') ?? null;
    }
    case 'podman': {
      for (const file of ['containers.json', 'volatile-containers.json']) {
        const path = `${root}/var/lib/containers/storage/overlay-containers/${file}`;
        const state = readState(path, PodmanStateSchema)?.find((entry) => entry.id === id);
        if (state?.names?.[0] !== undefined) return state.names[0];
      }
      return null;
    }
    case 'containerd': {
      const tasks = `${root}/run/containerd/io.containerd.runtime.v2.task`;
      for (const group of directoriesIn(tasks)) {
        const state = readState(`${tasks}/${group}/${id}/config.json`, ContainerdStateSchema);
        const name =
          state?.annotations?.['nerdctl/name'] ??
          state?.annotations?.['io.kubernetes.cri.container-name'] ??
          state?.annotations?.['io.kubernetes.cri.sandbox-name'];
        if (name !== undefined) return name;
      }
      return null;
    }
  }
}

/** Processes of a namespace that are asked for their container: a guest from outside may have the lowest pid. */
const askedProcesses = 8;
/** Names kept at hand; above that the oldest go. */
const rememberedNames = 4096;

/** Looks containers up once and remembers them. */
export class ContainerNames {
  private readonly names = new Map<string, string | null>();
  /** The container that the agent itself runs in: it tells nothing about the namespaces inside. */
  private readonly own: string | undefined;

  constructor() {
    this.own = this.referenceOf('self')?.id;
  }

  /** Name of the container that one of these processes is in. */
  nameOf(pids: readonly number[]): string | null {
    for (const pid of pids.slice(0, askedProcesses)) {
      const reference = this.referenceOf(pid);
      if (reference === null || reference.id === this.own) continue;
      const known = this.names.get(reference.id);
      if (known !== undefined) return known;
      const name = containerName(reference);
      const oldest = this.names.keys().next().value;
      if (this.names.size >= rememberedNames && oldest !== undefined) this.names.delete(oldest);
      this.names.set(reference.id, name);
      return name;
    }
    return null;
  }

  private referenceOf(pid: number | 'self'): ContainerReference | null {
    try {
      return containerOfControlGroup(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
    } catch {
      return null;
    }
  }
}
