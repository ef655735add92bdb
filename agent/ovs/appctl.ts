/** Control sockets of the daemons of Open vSwitch (ovs-appctl(8)), spoken to without a process. */
import type { OpenFlowTrace } from '../api/openflow.ts';
import type { OvsBridge } from '../api/ovs.ts';
import type { OvsTree } from '../api/ovs-figures.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import {
  type BondReport,
  type CoverageCounter,
  type DatapathReport,
  type LacpReport,
  parseBonds,
  parseCoverage,
  parseDatapaths,
  parseFdb,
  parseLacp,
  parseTrees,
  parseUpcalls,
  type SwitchFdbEntry,
  type TreeReport,
  type UpcallReport,
} from './appctl-text.ts';
import { ovsFailure, protocolBroken } from './failures.ts';
import { RpcConnection } from './json-rpc.ts';
import { parseTrace, waitsForHash } from './trace-text.ts';

export interface ControlOptions {
  /** Milliseconds; default 10,000. */
  readonly timeout?: number | undefined;
}

/**
 * Gives a daemon a command and has its text. Fails with 'unreachable', 'timeout', or 'refused' with the daemon's own words.
 */
export async function control(
  socket: string,
  command: string,
  words: readonly string[] = [],
  options: ControlOptions = {},
): Promise<Result<string>> {
  const timeout = options.timeout ?? 10_000;
  const opened = await RpcConnection.open(socket, { limit: 64 * 1024 * 1024 }, timeout);
  if (!opened.ok) return opened;
  try {
    const answer = await opened.value.call(command, [...words], timeout);
    if (!answer.ok) return answer;
    const { result, error } = answer.value;
    if (error === null) return succeed(typeof result === 'string' ? result : '');
    const detail = (typeof error === 'string' ? error : JSON.stringify(error)).trim();
    return fail(
      ovsFailure(
        'refused',
        'ovs-command-refused',
        command,
        `Open vSwitch refuses ${command}: ${detail}.`,
        'Correct what is asked for and try again.',
        { detail: detail.slice(0, 1500) },
      ),
    );
  } finally {
    opened.value.close();
  }
}

async function read<T>(
  socket: string,
  command: string,
  words: readonly string[],
  parse: (text: string) => T,
): Promise<Result<T>> {
  const answer = await control(socket, command, words);
  return answer.ok ? succeed(parse(answer.value)) : answer;
}

// `socket` is the control socket of ovs-vswitchd: `engineFiles(directory).switchControl`.

/** Version of the daemon, such as `3.1.0`; empty where it says none. */
export function readVersion(socket: string): Promise<Result<string>> {
  return read(socket, 'version', [], (text) => /\) ([\d.]+\S*)/.exec(text)?.[1] ?? '');
}

export function readBonds(socket: string): Promise<Result<readonly BondReport[]>> {
  return read(socket, 'bond/show', [], parseBonds);
}

export function readLacp(socket: string): Promise<Result<readonly LacpReport[]>> {
  return read(socket, 'lacp/show', [], parseLacp);
}

/** Addresses that a bridge has learned. */
export function readFdb(
  socket: string,
  bridge: string,
): Promise<Result<readonly SwitchFdbEntry[]>> {
  return read(socket, 'fdb/show', [bridge], parseFdb);
}

/** The trees of all bridges that take part in one. */
export async function readTrees(
  socket: string,
): Promise<Result<readonly (TreeReport & Pick<OvsTree, 'protocol'>)[]>> {
  const [stp, rstp] = await Promise.all([
    read(socket, 'stp/show', [], parseTrees),
    read(socket, 'rstp/show', [], parseTrees),
  ]);
  if (!stp.ok) return stp;
  if (!rstp.ok) return rstp;
  return succeed([
    ...stp.value.map((tree) => ({ protocol: 'stp' as const, ...tree })),
    ...rstp.value.map((tree) => ({ protocol: 'rstp' as const, ...tree })),
  ]);
}

export function readUpcalls(socket: string): Promise<Result<readonly UpcallReport[]>> {
  return read(socket, 'upcall/show', [], parseUpcalls);
}

export function readCoverage(
  socket: string,
): Promise<Result<ReadonlyMap<string, CoverageCounter>>> {
  return read(socket, 'coverage/show', [], parseCoverage);
}

export function readDatapaths(socket: string): Promise<Result<readonly DatapathReport[]>> {
  return read(socket, 'dpctl/show', [], parseDatapaths);
}

/**
 * What would become of a packet that is described as a flow, or that is there itself as hexadecimal text: then the flow
 * says where it comes in. `bridges` are all of the switch.
 */
export async function traceOpenFlow(
  socket: string,
  bridge: string,
  packet: string,
  bridges: readonly OvsBridge[],
  frame?: string,
): Promise<Result<OpenFlowTrace>> {
  const ask = async (flow: string): Promise<Result<OpenFlowTrace>> => {
    const words = [bridge, flow, ...(frame === undefined ? [] : [frame]), '--names'];
    const text = await control(socket, 'ofproto/trace', words);
    if (!text.ok) return text;
    const trace = parseTrace(text.value, bridges);
    return trace === undefined
      ? fail(protocolBroken(socket, 'it prints no trace'))
      : succeed(trace);
  };
  const trace = await ask(packet);
  if (!trace.ok || !waitsForHash(trace.value)) return trace;
  // A group that shares by the datapath's hash is decided when the packet comes back with one; a trace ends before.
  const decided = await ask(`${packet},dp_hash=1`);
  if (!decided.ok) return trace;
  return succeed({ ...decided.value, result: { ...decided.value.result, assumesHash: true } });
}
