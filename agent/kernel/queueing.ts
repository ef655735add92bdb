/**
 * Queueing disciplines at the root of links, over a request socket. Sources: include/uapi/linux/pkt_sched.h,
 * net/sched/sch_api.c, sch_netem.c, sch_tbf.c.
 */
import type { Impairment } from '../api/device.ts';
import {
  netemLimit,
  normaliseImpairment,
  ownedQueueingHandle,
  queueingKindOf,
  roundPercentage,
  tokenBucketOf,
} from '../api/impairment.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { kernelFailure } from './kernel-failure.ts';
import { EEXIST } from './native.ts';
import {
  type MessageWriter,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  readU32,
  readU64Number,
  visitAttributes,
} from './netlink-codec.ts';
import type { RequestSocket } from './netlink-socket.ts';
import {
  decodeQueueingDiscipline,
  type NetlinkRequest,
  type QueueingDiscipline,
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_NEWQDISC,
  TC_H_ROOT,
} from './rtnetlink.ts';

const ownHandle = ownedQueueingHandle * 0x10000;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_LINKLAYER_ETHERNET = 1;
const largestU32 = 0xffffffff;
/** Nanoseconds of a tick, in which the older fields count time (PSCHED_SHIFT). */
const tick = 64;

/** What is at the root of a link. */
export interface RootQueueing {
  /** What our discipline does; null when there is none of ours. */
  readonly impairment: Impairment | null;
  /** Kind of the discipline that somebody else has set; null when nobody has. */
  readonly foreign: string | null;
}

/** struct tcmsg. */
function writeHeader(writer: MessageWriter, index: number, handle: number, parent: number): void {
  writer.rawU32(0);
  writer.rawU32(index);
  writer.rawU32(handle);
  writer.rawU32(parent);
  writer.rawU32(0);
}

/** Of 2^32 - 1; halves go to the even number, as rint(3) in tc(8) has it. */
function shareOf(percentage: number): number {
  const exact = (percentage / 100) * largestU32;
  const low = Math.floor(exact);
  if (exact - low !== 0.5) return Math.round(exact);
  return low % 2 === 0 ? low : low + 1;
}

function percentageOf(share: number): number {
  return roundPercentage((share / largestU32) * 100);
}

function writeTokenBucket(writer: MessageWriter, rate: number): void {
  const { burst, limit } = tokenBucketOf(rate);
  const bytesPerSecond = rate / 8;
  const ticks = Math.min(largestU32, Math.round(((burst / bytesPerSecond) * 1e9) / tick));
  const options = writer.beginNested(TCA_OPTIONS);
  // TCA_TBF_PARMS: struct tc_tbf_qopt. The burst in bytes below counts, its ticks are for older kernels.
  const parameters = Buffer.alloc(36);
  parameters[1] = TC_LINKLAYER_ETHERNET;
  parameters.writeUInt32LE(Math.min(largestU32, bytesPerSecond), 8);
  parameters.writeUInt32LE(limit, 24);
  parameters.writeUInt32LE(ticks, 28);
  if (bytesPerSecond > largestU32) writer.u64(4, BigInt(bytesPerSecond));
  writer.binary(1, parameters);
  writer.u32(6, burst);
  writer.endNested(options);
}

function writeNetem(writer: MessageWriter, impairment: Impairment): void {
  const nanoseconds = (milliseconds: number): bigint =>
    BigInt(Math.round(milliseconds * 1000)) * 1000n;
  const ticks = (milliseconds: number): number =>
    Math.min(largestU32, Math.round((milliseconds * 1e6) / tick));
  const options = writer.beginNested(TCA_OPTIONS);
  // struct tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter. A gap of 1 lets any packet go ahead.
  writer.rawU32(ticks(impairment.delay));
  writer.rawU32(netemLimit);
  writer.rawU32(shareOf(impairment.loss));
  writer.rawU32(impairment.reorder > 0 ? 1 : 0);
  writer.rawU32(shareOf(impairment.duplicate));
  writer.rawU32(ticks(impairment.jitter));
  // In place, what is not said stays as it was (netem_change): everything is said.
  const pair = Buffer.alloc(8);
  pair.writeUInt32LE(shareOf(impairment.reorder), 0);
  writer.binary(3, pair);
  pair.writeUInt32LE(shareOf(impairment.corrupt), 0);
  writer.binary(4, pair);
  const bytesPerSecond = (impairment.rate ?? 0) / 8;
  const rate = Buffer.alloc(16);
  rate.writeUInt32LE(Math.min(largestU32, bytesPerSecond), 0);
  writer.binary(6, rate);
  if (bytesPerSecond > largestU32) writer.u64(8, BigInt(bytesPerSecond));
  writer.u64(10, nanoseconds(impairment.delay));
  writer.u64(11, nanoseconds(impairment.jitter));
  writer.endNested(options);
}

/** Pure: puts our discipline at the root, or changes it in place where it is of the same kind. */
export function impairmentRequest(
  index: number,
  impairment: Impairment,
  object: string,
): NetlinkRequest {
  const wanted = normaliseImpairment(impairment);
  const kind = queueingKindOf(wanted);
  return {
    type: RTM_NEWQDISC,
    flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE,
    object,
    headerLength: 20,
    encode(writer) {
      writeHeader(writer, index, ownHandle, TC_H_ROOT);
      writer.string(TCA_KIND, kind);
      if (kind === 'tbf' && wanted.rate !== null) writeTokenBucket(writer, wanted.rate);
      else writeNetem(writer, wanted);
    },
  };
}

/** Pure: takes our discipline away; the kernel refuses when the root has another handle. */
function removeRequest(index: number, object: string): NetlinkRequest {
  return {
    type: RTM_DELQDISC,
    flags: NLM_F_REQUEST,
    object,
    headerLength: 20,
    encode(writer) {
      writeHeader(writer, index, ownHandle, TC_H_ROOT);
    },
  };
}

function decodeTokenBucket(bytes: Buffer, start: number, end: number): Impairment | null {
  let rate: number | undefined;
  let longRate: number | undefined;
  visitAttributes(bytes, start, end, (type, from, to) => {
    if (type === 1) rate = readU32(bytes, from + 8, to);
    else if (type === 4) longRate = readU64Number(bytes, from, to);
  });
  const bytesPerSecond = longRate ?? rate;
  if (bytesPerSecond === undefined) return null;
  return {
    rate: bytesPerSecond * 8,
    delay: 0,
    jitter: 0,
    loss: 0,
    duplicate: 0,
    reorder: 0,
    corrupt: 0,
  };
}

function decodeNetem(bytes: Buffer, start: number, end: number): Impairment | null {
  const field = (position: number): number | undefined =>
    readU32(bytes, start + position * 4, Math.min(end, start + position * 4 + 4));
  const latency = field(0);
  const loss = field(2);
  const duplicate = field(4);
  const jitter = field(5);
  if (
    latency === undefined ||
    loss === undefined ||
    duplicate === undefined ||
    jitter === undefined
  ) {
    return null;
  }
  let delayTime = latency * tick;
  let jitterTime = jitter * tick;
  let reorder = 0;
  let corrupt = 0;
  let bytesPerSecond = 0;
  let longRate: number | undefined;
  visitAttributes(bytes, start + 24, end, (type, from, to) => {
    if (type === 3) reorder = readU32(bytes, from, to) ?? 0;
    else if (type === 4) corrupt = readU32(bytes, from, to) ?? 0;
    else if (type === 6) bytesPerSecond = readU32(bytes, from, to) ?? 0;
    else if (type === 8) longRate = readU64Number(bytes, from, to);
    else if (type === 10) delayTime = readU64Number(bytes, from, to) ?? delayTime;
    else if (type === 11) jitterTime = readU64Number(bytes, from, to) ?? jitterTime;
  });
  const rate = longRate ?? bytesPerSecond;
  const milliseconds = (nanoseconds: number): number => Math.round(nanoseconds / 1000) / 1000;
  return {
    rate: rate === 0 ? null : rate * 8,
    delay: milliseconds(delayTime),
    jitter: milliseconds(jitterTime),
    loss: percentageOf(loss),
    duplicate: percentageOf(duplicate),
    reorder: percentageOf(reorder),
    corrupt: percentageOf(corrupt),
  };
}

/** Pure: what a discipline says of the root of its link; undefined when it is not at the root or nobody's. */
export function decodeRootQueueing(
  discipline: QueueingDiscipline,
  bytes: Buffer,
): RootQueueing | undefined {
  const { handle, parent, kind, options } = discipline;
  // Handle 0 is what the kernel itself puts there; noqueue is none.
  if (parent !== TC_H_ROOT || handle === 0 || kind === 'noqueue') return undefined;
  if (handle === ownHandle && options !== undefined) {
    const [from, to] = options;
    let impairment: Impairment | null = null;
    if (kind === 'tbf') impairment = decodeTokenBucket(bytes, from, to);
    else if (kind === 'netem') impairment = decodeNetem(bytes, from, to);
    if (impairment !== null) return { impairment, foreign: null };
  }
  return { impairment: null, foreign: kind };
}

/** Pure: asks for the queueing disciplines of a namespace, those of the kernel's own left out. */
export function dumpQueueingRequest(): NetlinkRequest {
  return {
    type: RTM_GETQDISC,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object: 'queueing disciplines',
    headerLength: 20,
    encode(writer) {
      writeHeader(writer, 0, 0, 0);
    },
  };
}

/** What somebody has set at the root of the namespace's links, by interface index; the others are left out. */
export function listQueueing(socket: RequestSocket): Result<ReadonlyMap<number, RootQueueing>> {
  const list = socket.list(dumpQueueingRequest(), (bytes, start, end) => {
    const discipline = decodeQueueingDiscipline(bytes, start, end);
    if (discipline === undefined) return undefined;
    const found = decodeRootQueueing(discipline, bytes);
    return found === undefined ? undefined : ([discipline.interfaceIndex, found] as const);
  });
  return list.ok ? succeed(new Map(list.value)) : list;
}

/**
 * Makes our discipline at the root of a link do this and only this; null takes it away and leaves any other alone.
 * Fails with EEXIST when somebody else's is there, with ENOENT when the kernel lacks netem or tbf. The values are
 * rounded as `normaliseImpairment` does.
 */
export function setImpairment(
  socket: RequestSocket,
  index: number,
  impairment: Impairment | null,
  object: string,
): Result<void> {
  const list = listQueueing(socket);
  if (!list.ok) return list;
  const current = list.value.get(index);
  const old = current?.impairment ?? null;
  if (impairment === null) {
    return old === null ? succeed(undefined) : socket.execute(removeRequest(index, object));
  }
  if (current !== undefined && current.foreign !== null) {
    const message = `another queueing discipline (${current.foreign}) is at its root`;
    return fail(kernelFailure(object, { call: 'RTM_NEWQDISC', errno: EEXIST, message }));
  }
  const request = impairmentRequest(index, impairment, object);
  const kind = queueingKindOf(normaliseImpairment(impairment));
  if (old === null || queueingKindOf(old) === kind) return socket.execute(request);
  // The kernel changes no discipline into one of another kind under the same handle (tc_modify_qdisc).
  const removed = socket.execute(removeRequest(index, object));
  if (!removed.ok) return removed;
  const made = socket.execute(request);
  if (!made.ok) socket.execute(impairmentRequest(index, old, object));
  return made;
}
