/** The commands that make, start and end a private Open vSwitch. Pure: what is run and what is shown are the same. */
import type { OvsDatapath } from '../api/ovs.ts';

/** Where the private engines of a realm have their directories, one a namespace. */
export const engineDirectory = '/run/netloom/ovs';

/** That of the realm's own namespace: no namespace of a lab has a name that begins with `_`. */
const homeName = '_realm';

/** Name of the directory of a namespace's engine; null is the realm's own namespace. */
export function engineName(namespace: string | null): string {
  return namespace ?? homeName;
}

/** The way back from `engineName`. */
export function namespaceOfEngine(name: string): string | null {
  return name === homeName ? null : name;
}

/** Run directory of the machine's own Open vSwitch (Debian, Fedora). */
export const systemEngineDirectory = '/run/openvswitch';

/** Debian's and Fedora's place of the schema. */
export const schemaFile = '/usr/share/openvswitch/vswitch.ovsschema';

/** Longest directory of an engine: a bridge's control socket (`/BRIDGE.mgmt`, 15 bytes of name) must fit into 107 bytes. */
export const longestEngineDirectory = 107 - '/'.length - 15 - '.mgmt'.length;

export interface EngineFiles {
  readonly database: string;
  /** Where ovsdb-server listens. */
  readonly socket: string;
  readonly databasePid: string;
  readonly databaseControl: string;
  readonly databaseLog: string;
  readonly switchPid: string;
  readonly switchControl: string;
  readonly switchLog: string;
  /** There where the engine uses the kernel's datapath. */
  readonly kernelMark: string;
}

export function engineFiles(directory: string): EngineFiles {
  return {
    database: `${directory}/conf.db`,
    socket: `${directory}/db.sock`,
    databasePid: `${directory}/ovsdb-server.pid`,
    databaseControl: `${directory}/ovsdb-server.ctl`,
    databaseLog: `${directory}/ovsdb-server.log`,
    switchPid: `${directory}/ovs-vswitchd.pid`,
    switchControl: `${directory}/ovs-vswitchd.ctl`,
    switchLog: `${directory}/ovs-vswitchd.log`,
    kernelMark: `${directory}/kernel-datapath`,
  };
}

/** Control socket of a bridge, which ovs-ofctl(8) takes in the place of the bridge's name. */
export function bridgeSocket(runDirectory: string, bridge: string): string {
  return `unix:${runDirectory}/${bridge}.mgmt`;
}

export type EngineDatapath = OvsDatapath;

export interface EngineCommands {
  /** Makes the database file. */
  readonly create: readonly string[];
  readonly startDatabase: readonly string[];
  /** Gives the database its one row; harmless where it is there. */
  readonly initialize: readonly string[];
  readonly startSwitch: readonly string[];
  readonly stopSwitch: readonly string[];
  readonly stopDatabase: readonly string[];
  /** Where the daemons put the sockets of bridges; for all of these commands. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Argument arrays, the program first. Both daemons detach themselves, in sessions of their own, and their starts end when
 * they are ready. `stopSwitch` also takes from the kernel what the switch has put there. `dummy` is a switch that touches no kernel: its ports lead nowhere.
 */
export function engineCommands(
  directory: string,
  datapath: EngineDatapath | 'dummy',
): EngineCommands {
  const files = engineFiles(directory);
  const quiet = ['-vconsole:off', '-vsyslog:off', '--detach'];
  return {
    create: ['ovsdb-tool', 'create', files.database, schemaFile],
    startDatabase: [
      'ovsdb-server',
      files.database,
      `--remote=punix:${files.socket}`,
      `--unixctl=${files.databaseControl}`,
      `--pidfile=${files.databasePid}`,
      `--log-file=${files.databaseLog}`,
      ...quiet,
    ],
    initialize: ['ovs-vsctl', `--db=unix:${files.socket}`, '--no-wait', 'init'],
    startSwitch: [
      'ovs-vswitchd',
      `unix:${files.socket}`,
      `--unixctl=${files.switchControl}`,
      `--pidfile=${files.switchPid}`,
      `--log-file=${files.switchLog}`,
      ...quiet,
      // Another Open vSwitch may have the kernel's datapath.
      ...(datapath === 'system' ? [] : ['--disable-system']),
      ...(datapath === 'dummy' ? ['--enable-dummy'] : []),
    ],
    stopSwitch: ['ovs-appctl', `--target=${files.switchControl}`, 'exit', '--cleanup'],
    stopDatabase: ['ovs-appctl', `--target=${files.databaseControl}`, 'exit'],
    environment: { OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory },
  };
}
