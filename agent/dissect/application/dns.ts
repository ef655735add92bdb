/** The domain name system (RFC 1035, 2782, 3596, 6891), also by multicast (RFC 6762). */
import type { Dissection, Layer, Protocol } from '../core/dissection.ts';
import { addDomainName, readDomainName } from '../core/domain-name.ts';
import {
  type FieldType,
  flag,
  group,
  hexadecimal,
  ipv4,
  ipv6,
  meaningsOf,
  octets,
  text,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { ipv4Text, ipv6Text, uint16 } from '../core/octets.ts';

const types = meaningsOf({
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  28: 'AAAA',
  33: 'SRV',
  35: 'NAPTR',
  41: 'OPT',
  43: 'DS',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  50: 'NSEC3',
  52: 'TLSA',
  64: 'SVCB',
  65: 'HTTPS',
  251: 'IXFR',
  252: 'AXFR',
  255: 'ANY',
  257: 'CAA',
});
const classes = meaningsOf({ 1: 'IN', 3: 'CH', 4: 'HS', 254: 'none', 255: 'any' });
const opcodes = meaningsOf({ 0: 'query', 2: 'status', 4: 'notify', 5: 'update' });
const codes = meaningsOf({
  0: 'no error',
  1: 'format error',
  2: 'server failure',
  3: 'no such name',
  4: 'not implemented',
  5: 'refused',
});

const length = unsigned('dns.length', 'Length', { unit: 'bytes' });
const id = hexadecimal('dns.id', 'Transaction');
const flags = hexadecimal('dns.flags', 'Flags');
const isResponse = flag('dns.flags.response', 'Response');
const opcode = unsigned('dns.flags.opcode', 'Operation', { meanings: opcodes });
const authoritative = flag('dns.flags.authoritative', 'Authoritative');
const isTruncated = flag('dns.flags.truncated', 'Truncated');
const wanted = flag('dns.flags.recdesired', 'Recursion desired');
const available = flag('dns.flags.recavail', 'Recursion available');
const authenticated = flag('dns.flags.authenticated', 'Authenticated');
const checkDisabled = flag('dns.flags.checkdisable', 'Checking disabled');
const code = unsigned('dns.flags.rcode', 'Response code', { meanings: codes });
const questions = unsigned('dns.count.queries', 'Questions');
const answers = unsigned('dns.count.answers', 'Answers');
const authorities = unsigned('dns.count.auth_rr', 'Authorities');
const additions = unsigned('dns.count.add_rr', 'Additional records');

const question = group('dns.question', 'Question');
const questionName = text('dns.qry.name', 'Name');
const questionType = unsigned('dns.qry.type', 'Type', { meanings: types });
const questionClass = hexadecimal('dns.qry.class', 'Class', { meanings: classes });
const unicastWanted = flag('dns.qry.qu', 'Unicast response wanted');

const record = group('dns.record', 'Record');
const name = text('dns.resp.name', 'Name');
const type = unsigned('dns.resp.type', 'Type', { meanings: types });
const recordClass = hexadecimal('dns.resp.class', 'Class', { meanings: classes });
const cacheFlush = flag('dns.resp.cache_flush', 'Replaces what is cached');
const timeToLive = unsigned('dns.resp.ttl', 'Time to live', { unit: 's' });
const dataLength = unsigned('dns.resp.len', 'Data length', { unit: 'bytes' });
const payloadSize = unsigned('dns.rr.udp_payload_size', 'Largest datagram', { unit: 'bytes' });
const extendedCode = hexadecimal('dns.resp.ext_rcode', 'Upper bits of the response code');
const extensionVersion = unsigned('dns.resp.edns0_version', 'Version of extensions');
const extensionFlags = hexadecimal('dns.resp.z', 'Flags');
const securityOk = flag('dns.resp.z.do', 'Security records wanted');
const option = group('dns.opt', 'Option');
const optionCode = unsigned('dns.opt.code', 'Code');
const optionLength = unsigned('dns.opt.len', 'Length', { unit: 'bytes' });
const optionData = octets('dns.opt.data', 'Data');

const address4 = ipv4('dns.a', 'Address');
const address6 = ipv6('dns.aaaa', 'Address');
const nameServer = text('dns.ns', 'Name server');
const canonicalName = text('dns.cname', 'Canonical name');
const pointer = text('dns.ptr.domain_name', 'Domain name');
const preference = unsigned('dns.mx.preference', 'Preference');
const exchange = text('dns.mx.mail_exchange', 'Mail exchange');
const textLength = unsigned('dns.txt.length', 'Length', { unit: 'bytes' });
const content = text('dns.txt', 'Text');
const primary = text('dns.soa.mname', 'Primary server');
const mailbox = text('dns.soa.rname', 'Mailbox');
const serial = unsigned('dns.soa.serial_number', 'Serial number');
const refresh = unsigned('dns.soa.refresh_interval', 'Refresh', { unit: 's' });
const retry = unsigned('dns.soa.retry_interval', 'Retry', { unit: 's' });
const expiry = unsigned('dns.soa.expire_limit', 'Expiry', { unit: 's' });
const minimumTime = unsigned('dns.soa.minimum_ttl', 'Negative time to live', { unit: 's' });
const priority = unsigned('dns.srv.priority', 'Priority');
const weight = unsigned('dns.srv.weight', 'Weight');
const port = unsigned('dns.srv.port', 'Port');
const target = text('dns.srv.target', 'Target');
const data = octets('dns.data', 'Data');

const names: ReadonlyMap<number, FieldType> = new Map([
  [2, nameServer],
  [5, canonicalName],
  [12, pointer],
]);

function describeData(tree: FieldTree, kind: number, start: number): void {
  const named = names.get(kind);
  if (named !== undefined) {
    addDomainName(tree, named, start);
    return;
  }
  switch (kind) {
    case 1:
      tree.ipv4(address4);
      break;
    case 6:
      addDomainName(tree, primary, start);
      addDomainName(tree, mailbox, start);
      tree.unsigned(serial, 4);
      tree.unsigned(refresh, 4);
      tree.unsigned(retry, 4);
      tree.unsigned(expiry, 4);
      tree.unsigned(minimumTime, 4);
      break;
    case 15:
      tree.unsigned(preference, 2);
      addDomainName(tree, exchange, start);
      break;
    case 16:
      while (tree.left > 0) tree.text(content, tree.unsigned(textLength, 1));
      break;
    case 28:
      tree.ipv6(address6);
      break;
    case 33:
      tree.unsigned(priority, 2);
      tree.unsigned(weight, 2);
      tree.unsigned(port, 2);
      addDomainName(tree, target, start);
      break;
    case 41:
      while (tree.left >= 4) {
        tree.group(option, () => {
          tree.unsigned(optionCode, 2);
          tree.octets(optionData, tree.unsigned(optionLength, 2));
        });
      }
      break;
    default:
      tree.octets(data, tree.left);
  }
}

function describeQuestion(tree: FieldTree, start: number, multicast: boolean): void {
  tree.group(question, () => {
    tree.name(null, addDomainName(tree, questionName, start));
    tree.unsigned(questionType, 2);
    describeClass(tree, questionClass, multicast ? unicastWanted : null);
  });
}

/** By multicast the highest bit is a flag (RFC 6762, 10.2 and 5.4). */
function describeClass(tree: FieldTree, of: FieldType, bit: FieldType | null): void {
  const at = tree.at;
  if (bit === null) {
    tree.unsigned(of, 2);
    return;
  }
  tree.bits(of, at, 2, 0x7fff);
  tree.bits(bit, at, 2, 0x8000);
  tree.skip(2);
}

function describeRecord(tree: FieldTree, start: number, multicast: boolean): void {
  tree.group(record, () => {
    tree.name(null, addDomainName(tree, name, start));
    const kind = tree.unsigned(type, 2);
    if (kind === 41) {
      const at = tree.at;
      if (multicast) {
        tree.bits(payloadSize, at, 2, 0x7fff);
        tree.bits(cacheFlush, at, 2, 0x8000);
        tree.skip(2);
      } else {
        tree.unsigned(payloadSize, 2);
      }
      tree.unsigned(extendedCode, 1);
      tree.unsigned(extensionVersion, 1);
      tree.word(extensionFlags, 2, [[securityOk, 0x8000]]);
    } else {
      describeClass(tree, recordClass, multicast ? cacheFlush : null);
      tree.unsigned(timeToLive, 4);
    }
    const size = tree.unsigned(dataLength, 2);
    tree.within(size, () => {
      if (size > 0) describeData(tree, kind, start);
    });
  });
}

/** Over TCP a message has its length before it. */
function messageStart(packet: Dissection, { start }: Layer): number {
  return packet.ipProtocol === 6 ? start + 2 : start;
}

function protocolOf(kind: 'dns' | 'mdns', title: string): Protocol {
  const multicast = kind === 'mdns';
  return {
    name: kind,
    title,
    minimum: 12,
    fields: [
      length,
      id,
      flags,
      isResponse,
      opcode,
      authoritative,
      isTruncated,
      wanted,
      available,
      authenticated,
      checkDisabled,
      code,
      questions,
      answers,
      authorities,
      additions,
      question,
      questionName,
      questionType,
      questionClass,
      unicastWanted,
      record,
      name,
      type,
      recordClass,
      cacheFlush,
      timeToLive,
      dataLength,
      payloadSize,
      extendedCode,
      extensionVersion,
      extensionFlags,
      securityOk,
      option,
      optionCode,
      optionLength,
      optionData,
      address4,
      address6,
      nameServer,
      canonicalName,
      pointer,
      preference,
      exchange,
      textLength,
      content,
      primary,
      mailbox,
      serial,
      refresh,
      retry,
      expiry,
      minimumTime,
      priority,
      weight,
      port,
      target,
      data,
    ],
    enter: () => undefined,
    describe(tree, layer, packet) {
      const start = messageStart(packet, layer);
      if (start !== layer.start) tree.unsigned(length, 2);
      tree.unsigned(id, 2);
      const word = tree.peek(2);
      tree.word(flags, 2, [
        [isResponse, 0x8000],
        [opcode, 0x7800],
        ...((word & 0x8000) === 0 ? [] : ([[authoritative, 0x0400]] as const)),
        [isTruncated, 0x0200],
        [wanted, 0x0100],
        ...((word & 0x8000) === 0
          ? []
          : ([
              [available, 0x0080],
              [authenticated, 0x0020],
            ] as const)),
        [checkDisabled, 0x0010],
        ...((word & 0x8000) === 0 ? [] : ([[code, 0x000f]] as const)),
      ]);
      const asked = tree.unsigned(questions, 2);
      const records =
        tree.unsigned(answers, 2) + tree.unsigned(authorities, 2) + tree.unsigned(additions, 2);
      for (let index = 0; index < asked && !tree.failed; index += 1) {
        describeQuestion(tree, start, multicast);
      }
      for (let index = 0; index < records && !tree.failed; index += 1) {
        describeRecord(tree, start, multicast);
      }
    },
    info(packet, layer) {
      const start = messageStart(packet, layer);
      const { bytes } = packet;
      if (start + 12 > bytes.length) return 'Message';
      const word = uint16(bytes, start + 2);
      const words: string[] = [(word & 0x8000) === 0 ? 'Query' : 'Response'];
      if ((word & 0x7800) !== 0)
        words.push(opcodes.get((word & 0x7800) >> 11) ?? 'of another kind');
      if ((word & 0xf) !== 0) words.push(codes.get(word & 0xf) ?? `error ${String(word & 0xf)}`);
      let at = start + 12;
      if (uint16(bytes, start + 4) > 0) {
        const read = readDomainName(bytes, start, at, bytes.length);
        if (read.name === null || read.end + 4 > bytes.length) return words.join(' ');
        const number = uint16(bytes, read.end);
        words.push(
          types.get(number) ?? `type ${String(number)}`,
          read.name === '' ? '.' : read.name,
        );
        at = read.end + 4;
      }
      if (uint16(bytes, start + 6) > 0) words.push(...firstAnswer(bytes, start, at));
      return words.join(' ');
    },
  };
}

/** What the first record says, in a word or two. */
function firstAnswer(bytes: Uint8Array, start: number, at: number): readonly string[] {
  const { name: owner, end } = readDomainName(bytes, start, at, bytes.length);
  if (owner === null || end + 10 > bytes.length) return [];
  const kind = uint16(bytes, end);
  const from = end + 10;
  const size = uint16(bytes, end + 8);
  if (from + size > bytes.length) return [];
  if (kind === 1 && size === 4) return ['→', ipv4Text(bytes, from)];
  if (kind === 28 && size === 16) return ['→', ipv6Text(bytes, from)];
  const target = names.has(kind) ? readDomainName(bytes, start, from, from + size).name : null;
  return ['→', types.get(kind) ?? `type ${String(kind)}`, ...(target === null ? [] : [target])];
}

export const domainNames = protocolOf('dns', 'DNS');
export const multicastNames = protocolOf('mdns', 'mDNS');
