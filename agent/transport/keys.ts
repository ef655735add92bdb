/** The agent's key pair, made by whoever creates the realm. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fail, type Result, realmFiles, succeed } from '../api/index.ts';
import type { CurveKeyPair } from './socket.ts';

const KeyPairSchema = z.strictObject({
  publicKey: z.string().length(40),
  secretKey: z.string().length(40),
});

/** Reads `agent-keys.json` of a realm's runtime directory; a file that others may read is refused. */
export function readAgentKeys(directory: string): Result<CurveKeyPair> {
  const path = join(directory, realmFiles.agentKeys);
  const refuse = (code: string, reason: string): Result<never> =>
    fail({
      kind: 'storage',
      code,
      object: path.slice(0, 512),
      reason,
      next: 'End the realm and make it again.',
    });
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      return refuse('keys-open', 'Others than its owner may read it.');
    }
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    const keys = KeyPairSchema.safeParse(content);
    return keys.success ? succeed(keys.data) : refuse('keys-invalid', 'It holds no key pair.');
  } catch (error) {
    const reason = error instanceof Error ? error.message.slice(0, 500) : String(error);
    return refuse('keys-unreadable', `It cannot be read: ${reason}.`);
  }
}
