/** Records of TLS (RFC 8446), and what is said openly in its handshake: above all the client's hello (RFC 6066, 7301). */
import type { Protocol } from '../core/dissection.ts';
import {
  findField,
  group,
  hexadecimal,
  meaningsOf,
  octets,
  text,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { uint16, uint8 } from '../core/octets.ts';

const versions = meaningsOf({
  0x0300: 'SSL 3.0',
  0x0301: 'TLS 1.0',
  0x0302: 'TLS 1.1',
  0x0303: 'TLS 1.2',
  0x0304: 'TLS 1.3',
});
const contentTypes = meaningsOf({
  20: 'change cipher spec',
  21: 'alert',
  22: 'handshake',
  23: 'application data',
  24: 'heartbeat',
});
const handshakeTypes = meaningsOf({
  0: 'hello request',
  1: 'client hello',
  2: 'server hello',
  4: 'new session ticket',
  8: 'encrypted extensions',
  11: 'certificate',
  12: 'server key exchange',
  13: 'certificate request',
  14: 'server hello done',
  15: 'certificate verify',
  16: 'client key exchange',
  20: 'finished',
  22: 'certificate status',
});
const extensionTypes = meaningsOf({
  0: 'server name',
  5: 'status request',
  10: 'supported groups',
  11: 'point formats',
  13: 'signature algorithms',
  16: 'application protocols',
  18: 'certificate timestamps',
  21: 'padding',
  23: 'extended master secret',
  35: 'session ticket',
  41: 'pre-shared key',
  43: 'supported versions',
  45: 'key exchange modes',
  51: 'key share',
  65281: 'renegotiation',
});
const alerts = meaningsOf({
  0: 'close notify',
  10: 'unexpected message',
  20: 'bad record',
  40: 'handshake failure',
  42: 'bad certificate',
  45: 'certificate expired',
  46: 'certificate unknown',
  47: 'illegal parameter',
  48: 'unknown authority',
  70: 'protocol version',
  80: 'internal error',
  112: 'unrecognized name',
  120: 'no application protocol',
});

const record = group('tls.record', 'Record');
const contentType = unsigned('tls.record.content_type', 'Content', { meanings: contentTypes });
const recordVersion = hexadecimal('tls.record.version', 'Version', { meanings: versions });
const recordLength = unsigned('tls.record.length', 'Length', { unit: 'bytes' });
const alertLevel = unsigned('tls.alert_message.level', 'Level', {
  meanings: meaningsOf({ 1: 'warning', 2: 'fatal' }),
});
const alertText = unsigned('tls.alert_message.desc', 'Alert', { meanings: alerts });
const handshake = group('tls.handshake', 'Handshake');
const handshakeType = unsigned('tls.handshake.type', 'Type', { meanings: handshakeTypes });
const handshakeLength = unsigned('tls.handshake.length', 'Length', { unit: 'bytes' });
const handshakeVersion = hexadecimal('tls.handshake.version', 'Version', { meanings: versions });
const random = octets('tls.handshake.random', 'Random');
const sessionLength = unsigned('tls.handshake.session_id_length', 'Length of the session', {
  unit: 'bytes',
});
const session = octets('tls.handshake.session_id', 'Session');
const suitesLength = unsigned('tls.handshake.cipher_suites_length', 'Length of the suites', {
  unit: 'bytes',
});
const suite = hexadecimal('tls.handshake.ciphersuite', 'Cipher suite', {
  meanings: meaningsOf({
    0x1301: 'AES-128-GCM, SHA-256',
    0x1302: 'AES-256-GCM, SHA-384',
    0x1303: 'ChaCha20-Poly1305, SHA-256',
    0xc02b: 'ECDHE-ECDSA, AES-128-GCM',
    0xc02c: 'ECDHE-ECDSA, AES-256-GCM',
    0xc02f: 'ECDHE-RSA, AES-128-GCM',
    0xc030: 'ECDHE-RSA, AES-256-GCM',
  }),
});
const compressionsLength = unsigned(
  'tls.handshake.comp_methods_length',
  'Length of the compressions',
  { unit: 'bytes' },
);
const compression = unsigned('tls.handshake.comp_method', 'Compression');
const extensionsLength = unsigned('tls.handshake.extensions_length', 'Length of the extensions', {
  unit: 'bytes',
});
const extension = group('tls.handshake.extension', 'Extension');
const extensionType = unsigned('tls.handshake.extension.type', 'Type', {
  meanings: extensionTypes,
});
const extensionLength = unsigned('tls.handshake.extension.len', 'Length', { unit: 'bytes' });
const extensionData = octets('tls.handshake.extension.data', 'Data');
const namesLength = unsigned('tls.handshake.extensions_server_name_list_len', 'Length of names', {
  unit: 'bytes',
});
const nameType = unsigned('tls.handshake.extensions_server_name_type', 'Kind of name', {
  meanings: meaningsOf({ 0: 'host' }),
});
const nameLength = unsigned('tls.handshake.extensions_server_name_len', 'Length', {
  unit: 'bytes',
});
const serverName = text('tls.handshake.extensions_server_name', 'Server name');
const protocolsLength = unsigned('tls.handshake.extensions_alpn_len', 'Length of protocols', {
  unit: 'bytes',
});
const protocolLength = unsigned('tls.handshake.extensions_alpn_str_len', 'Length', {
  unit: 'bytes',
});
const applicationProtocol = text('tls.handshake.extensions_alpn_str', 'Application protocol');
const supportedLength = unsigned(
  'tls.handshake.extensions.supported_versions_len',
  'Length of versions',
  { unit: 'bytes' },
);
const supportedVersion = hexadecimal(
  'tls.handshake.extensions.supported_version',
  'Supported version',
  { meanings: versions },
);

/** Whether it begins as a record does: a type, and a version from SSL 3.0 to what may come. */
export function looksLikeTls(bytes: Uint8Array, at: number): boolean {
  const type = uint8(bytes, at);
  return (
    at + 5 <= bytes.length &&
    type >= 20 &&
    type <= 24 &&
    uint8(bytes, at + 1) === 3 &&
    uint8(bytes, at + 2) <= 4 &&
    // RFC 8446, 5.2: never more than 2^14 and what the cipher adds.
    uint16(bytes, at + 3) <= 0x4800
  );
}

function describeExtension(tree: FieldTree, kind: number, isClient: boolean): void {
  if (kind === 0 && tree.left > 0) {
    tree.unsigned(namesLength, 2);
    while (tree.left >= 3) {
      tree.unsigned(nameType, 1);
      tree.text(serverName, tree.unsigned(nameLength, 2));
    }
  } else if (kind === 16 && tree.left > 0) {
    tree.unsigned(protocolsLength, 2);
    while (tree.left > 0) tree.text(applicationProtocol, tree.unsigned(protocolLength, 1));
  } else if (kind === 43) {
    if (isClient) tree.unsigned(supportedLength, 1);
    while (tree.left >= 2) tree.unsigned(supportedVersion, 2);
  } else {
    tree.octets(extensionData, tree.left);
  }
}

function describeExtensions(tree: FieldTree, isClient: boolean): void {
  if (tree.left < 2) return;
  tree.within(tree.unsigned(extensionsLength, 2), () => {
    while (tree.left >= 4) {
      tree.group(extension, () => {
        const kind = tree.unsigned(extensionType, 2);
        tree.name(null, extensionTypes.get(kind) ?? `extension ${String(kind)}`);
        tree.within(tree.unsigned(extensionLength, 2), () => {
          describeExtension(tree, kind, isClient);
        });
      });
    }
  });
}

function describeHello(tree: FieldTree, isClient: boolean): void {
  tree.unsigned(handshakeVersion, 2);
  tree.octets(random, 32);
  tree.octets(session, tree.unsigned(sessionLength, 1));
  if (!isClient) {
    tree.unsigned(suite, 2);
    tree.unsigned(compression, 1);
    describeExtensions(tree, false);
    return;
  }
  tree.within(tree.unsigned(suitesLength, 2), () => {
    while (tree.left >= 2) tree.unsigned(suite, 2);
  });
  tree.within(tree.unsigned(compressionsLength, 1), () => {
    while (tree.left > 0) tree.unsigned(compression, 1);
  });
  describeExtensions(tree, true);
}

/**
 * Messages of a handshake, of one record. After the keys are changed they are encrypted and look like anything: what says a
 * length or a type that it cannot have is left as it is.
 */
function describeHandshake(tree: FieldTree): void {
  while (tree.left >= 4) {
    const kind = tree.peek();
    const size = tree.peek(4) & 0xffffff;
    if (tree.has(4) && (!handshakeTypes.has(kind) || size > tree.left - 4)) return;
    tree.group(handshake, () => {
      tree.unsigned(handshakeType, 1);
      tree.name(null, handshakeTypes.get(kind) ?? null);
      tree.unsigned(handshakeLength, 3);
      tree.within(size, () => {
        if (kind === 1 || kind === 2) describeHello(tree, kind === 1);
      });
    });
  }
}

export const transportSecurity: Protocol = {
  name: 'tls',
  title: 'TLS',
  minimum: 5,
  fields: [
    record,
    contentType,
    recordVersion,
    recordLength,
    alertLevel,
    alertText,
    handshake,
    handshakeType,
    handshakeLength,
    handshakeVersion,
    random,
    sessionLength,
    session,
    suitesLength,
    suite,
    compressionsLength,
    compression,
    extensionsLength,
    extension,
    extensionType,
    extensionLength,
    extensionData,
    namesLength,
    nameType,
    nameLength,
    serverName,
    protocolsLength,
    protocolLength,
    applicationProtocol,
    supportedLength,
    supportedVersion,
  ],
  enter: () => undefined,
  describe(tree) {
    while (tree.left >= 5) {
      // Of what comes from the middle of a record nothing can be said.
      if (tree.has(5) && !looksLikeTls(tree.bytes, tree.at)) return;
      const size = tree.peek(2, 3);
      // The rest of it comes in the next segment.
      const isWhole = size <= tree.left - 5;
      tree.group(record, () => {
        const kind = tree.unsigned(contentType, 1);
        tree.name(null, contentTypes.get(kind) ?? null);
        tree.unsigned(recordVersion, 2);
        tree.unsigned(recordLength, 2);
        tree.within(Math.min(size, tree.left), () => {
          if (kind === 22) describeHandshake(tree);
          else if (kind === 21 && size === 2) {
            tree.unsigned(alertLevel, 1);
            tree.unsigned(alertText, 1);
          }
        });
      });
      if (!isWhole) return;
    }
  },
  info({ bytes }, layer) {
    const { start } = layer;
    const kind = uint8(bytes, start);
    const name = contentTypes.get(kind) ?? `content ${String(kind)}`;
    if (kind !== 22) return name;
    const { fields } = layer;
    const message = findField(fields, 'tls.handshake.type')?.meaning ?? 'handshake';
    const host = findField(fields, 'tls.handshake.extensions_server_name')?.value;
    return typeof host === 'string' ? `${message} for ${host}` : message;
  },
};
