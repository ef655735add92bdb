/**
 * Our nftables table in a namespace: read and written by `nft -j` (libnftables-json(5)). Whether there is one, and
 * whether anything changed since it was last read, is asked over netlink, since a process for each of hundreds of
 * namespaces would take seconds. Numbers from include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h.
 */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { canonicalRules, ruleFamily, ruleTable } from '../lab/rules.ts';
import { isErrno, kernelFailure } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import {
  AF_NETLINK,
  closeDescriptor,
  EPROTO,
  MSG_DONTWAIT,
  openSocket,
  receive,
  send,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from './native.ts';
import {
  decodeAcknowledgement,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  readU32,
  visitAttributes,
  visitMessages,
} from './netlink-codec.ts';
import { type CommandOutcome, findProgram, runCommandNow } from './process.ts';

const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = (NFNL_SUBSYS_NFTABLES << 8) | 1;
const NFT_MSG_GETGEN = (NFNL_SUBSYS_NFTABLES << 8) | 16;
const NFTA_TABLE_NAME = 1;
const NFTA_GEN_ID = 1;
const NFPROTO_UNSPEC = 0;
const NFPROTO_INET = 1;
/** struct nfgenmsg: family, version, resource id. */
const headerLength = 4;
const EAFNOSUPPORT = 97;
const EPROTONOSUPPORT = 93;

const writer = new MessageWriter(1024);
const answerBuffer = Buffer.allocUnsafeSlow(16384);

interface Presence {
  /** Rises with every change of any rule in the namespace. */
  readonly generation: number;
  readonly table: boolean;
}

/** Undefined where the kernel has no nftables. */
function lookAt(namespaceFd: number, known?: number): Result<Presence | undefined> {
  const object = 'nftables';
  const entered = runIn(namespaceFd, () =>
    openSocket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER),
  );
  if (!entered.ok) return entered;
  const fd = entered.value;
  if (fd === -EPROTONOSUPPORT || fd === -EAFNOSUPPORT) return succeed(undefined);
  if (fd < 0) return fail(kernelFailure(object, { call: 'socket', errno: -fd }));
  try {
    const generation = ask(fd, NFT_MSG_GETGEN, NFPROTO_UNSPEC, () => undefined, NFTA_GEN_ID);
    // No subsystem of that number (nfnetlink_rcv_msg).
    if (!generation.ok) {
      return isErrno(generation.failure, 'EINVAL') ? succeed(undefined) : generation;
    }
    // Whether the table is there is known as long as the generation stays.
    if (generation.value === known) return succeed({ generation: generation.value, table: true });
    const table = ask(fd, NFT_MSG_GETTABLE, NFPROTO_INET, (message) => {
      message.string(NFTA_TABLE_NAME, ruleTable);
    });
    if (!table.ok && !isErrno(table.failure, 'ENOENT')) return table;
    return succeed({ generation: generation.value, table: table.ok });
  } finally {
    closeDescriptor(fd);
  }
}

/** One request; the value of a u32 attribute (big-endian) of the answer, 0 without one. The kernel answers inside send. */
function ask(
  fd: number,
  type: number,
  family: number,
  encode: (message: MessageWriter) => void,
  attribute?: number,
): Result<number> {
  const object = `nftables table ${ruleFamily} ${ruleTable}`;
  const call = type === NFT_MSG_GETGEN ? 'NFT_MSG_GETGEN' : 'NFT_MSG_GETTABLE';
  writer.reset();
  writer.begin(type, NLM_F_REQUEST | NLM_F_ACK, 1);
  writer.rawU8(family);
  writer.rawU8(0);
  writer.rawU16(0);
  encode(writer);
  writer.end();
  const sent = send(fd, writer.buffer, writer.length, 0);
  if (sent < 0) return fail(kernelFailure(object, { call, errno: -sent }));
  let value = 0;
  let errno: number | undefined;
  while (errno === undefined) {
    const length = receive(fd, answerBuffer, MSG_DONTWAIT);
    if (length < 0) return fail(kernelFailure(object, { call, errno: -length }));
    const whole = visitMessages(answerBuffer, length, (header) => {
      if (header.type === NLMSG_ERROR) {
        errno = decodeAcknowledgement(answerBuffer, header).errno;
        return true;
      }
      visitAttributes(
        answerBuffer,
        header.bodyStart + headerLength,
        header.bodyEnd,
        (number, start, end) => {
          if (number === attribute) value = swap32(readU32(answerBuffer, start, end) ?? 0);
        },
      );
      return true;
    });
    if (!whole) return fail(kernelFailure(object, { call, errno: EPROTO }));
  }
  return errno === 0 ? succeed(value) : fail(kernelFailure(object, { call, errno }));
}

/** nftables speaks network order in its attributes. */
function swap32(value: number): number {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value, 0);
  return bytes.readUInt32BE(0);
}

function runNft(
  namespaceFd: number,
  args: readonly string[],
  purpose: string,
  input?: string,
): Result<CommandOutcome> {
  if (findProgram('nft') === undefined) {
    return fail({
      kind: 'unsupported',
      code: 'nft-missing',
      object: 'nft',
      reason: 'Rules of a node need the program nft, which is not installed.',
      next: 'Install the package nftables and try again.',
      values: { program: 'nft', package: 'nftables' },
    });
  }
  const ran = runCommandNow({ file: 'nft', args, purpose, namespaceFd, input });
  if (!ran.ok || ran.value.exitCode === 0) return ran;
  return fail(nftFailure(purpose, ran.value.stderr));
}

function nftFailure(purpose: string, message: string): Failure {
  const said = message.trim().slice(0, 1000);
  return {
    kind: 'process',
    code: 'nft-refused',
    object: `nftables table ${ruleFamily} ${ruleTable}`,
    reason: `nft refused while ${purpose}: ${said === '' ? 'it gave no reason' : said}`,
    next: 'Correct the rules and try again.',
    values: { program: 'nft', message: said.slice(0, 500) },
  };
}

function listRules(namespaceFd: number): Result<string | null> {
  const purpose = 'reading the rules';
  const args = ['-j', '-p', 'list', 'table', ruleFamily, ruleTable];
  const listed = runNft(namespaceFd, args, purpose);
  if (!listed.ok) return listed;
  let parsed: unknown;
  try {
    parsed = JSON.parse(listed.value.stdout);
  } catch {
    return fail(nftFailure(purpose, 'what it printed is no JSON'));
  }
  const rules = canonicalRules(parsed);
  return rules === null
    ? fail(nftFailure(purpose, 'what it printed is no list of rules'))
    : succeed(rules);
}

/**
 * Canonical text of our table (`agent/lab/rules.ts`); null when there is none, or no nftables at all. Fails with
 * 'unsupported' when there is one and nft is not installed.
 */
export function readRules(namespaceFd: number): Result<string | null> {
  return new RuleReader().read(namespaceFd);
}

/** Reads the rules of one namespace again and again; asks nft only when something has changed. */
export class RuleReader {
  private generation: number | undefined;
  private rules: string | null = null;

  /** Like {@link readRules}. Always of the same namespace. */
  read(namespaceFd: number): Result<string | null> {
    const found = lookAt(namespaceFd, this.generation);
    if (!found.ok) return found;
    if (found.value === undefined) return succeed(null);
    const { generation, table } = found.value;
    if (generation === this.generation) return succeed(this.rules);
    const rules = table ? listRules(namespaceFd) : succeed(null);
    if (!rules.ok) {
      // Gone between the two looks: the next one finds out.
      const again = table ? lookAt(namespaceFd) : found;
      if (again.ok && again.value?.table === false) return succeed(null);
      return rules;
    }
    this.generation = generation;
    this.rules = rules.value;
    return rules;
  }
}

/** Puts `rules` (canonical text) in the place of our table, in one transaction; null takes it away. */
export function writeRules(namespaceFd: number, rules: string | null): Result<void> {
  const reference = { table: { family: ruleFamily, name: ruleTable } };
  const items: unknown = rules === null ? [] : JSON.parse(rules);
  // Adding what may be there already makes that the deletion cannot fail.
  const batch: unknown[] = [{ add: reference }, { delete: reference }];
  if (Array.isArray(items)) for (const item of items) batch.push({ add: item });
  const input = JSON.stringify({ nftables: batch });
  const written = runNft(namespaceFd, ['-j', '-f', '-'], 'writing the rules', input);
  return written.ok ? succeed(undefined) : written;
}
