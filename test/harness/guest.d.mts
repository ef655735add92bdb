export declare class GuestUnavailable extends Error {}
export declare class GuestFailure extends Error {}
/** The guest said nothing for longer than it may. */
export declare class GuestSilent extends GuestFailure {}

/**
 * What stands in for a PC: `user-mode` is fast and has one processor, no cpuset, no NAT by nftables and no NIC
 * (guest/user-mode.mjs); `emulated` has all that and is slow (guest/emulated.mjs).
 */
export type GuestMachine = 'user-mode' | 'emulated';

/**
 * The guest's first process: a shell that runs the script, with every controller on; or systemd, of which the script is a
 * service (guest/systemd.mjs).
 */
export type GuestInit = 'shell' | 'systemd';

export interface PreparedGuest {
  /** The kernel's release, as `uname -r` says it. */
  readonly release: string;
  readonly kernel: string;
  readonly modules: string;
  readonly busybox: string;
  /** The directory of its layers; null where a shell is the first process. */
  readonly systemd: string | null;
}

export declare function prepareGuest(machine: GuestMachine, init?: GuestInit): PreparedGuest;

export interface GuestRun {
  /** Run by `sh` as root; `$NETLOOM_GUEST_RESULTS` is a directory that both sides write. */
  readonly script: string;
  readonly machine: GuestMachine;
  /** A shell when absent. */
  readonly init?: GuestInit;
  readonly cpus?: number;
  /** MiB */
  readonly memory?: number;
  readonly timeoutSeconds?: number;
  /** How long the script may print nothing; as long as it likes when absent. */
  readonly silentSeconds?: number | null;
  readonly workingDirectory?: string;
  /** The host's directory for results; a temporary one when absent. */
  readonly results?: string;
  /** Gives it a NIC, `eth0`, down; the emulator answers at 10.0.2.2, and nothing else is behind it. */
  readonly network?: boolean;
  /** TCP port of this machine's loopback that leads to the same port of 10.0.2.15, a NIC of the guest. */
  readonly forwardedPort?: number | null;
  readonly receive?: (chunk: Buffer) => void;
}

export interface GuestResult {
  readonly status: number;
  readonly output: string;
  /** The guest's clock when the script began. */
  readonly bootSeconds: number;
  readonly seconds: number;
  /** Modules of the list that this kernel does not have. */
  readonly missingModules: readonly string[];
}

export declare function runInGuest(run: GuestRun): Promise<GuestResult>;
