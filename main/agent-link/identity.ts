/** The person's CURVE key pair: who they are to their agents. */
import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { fail, type Result, succeed } from '../../agent/api/index.ts';
import { type Directories, ensureOwnDirectory } from './directories.ts';
import { createWhole, errorCode, writeWhole } from './private-file.ts';
import { type CurveKeyPair, curveKeyPair } from './socket.ts';

const KeyPairSchema = z.strictObject({
  publicKey: z.string().length(40),
  secretKey: z.string().length(40),
});

/** In the person's state directory. The second is for root, who enrols them with the host. */
export const identityFiles = { keys: 'identity.json', publicKey: 'identity.pub' } as const;

/** Reads the key pair, made on first use (0600, whole from the first moment; concurrent makers agree on one). */
export function ensureIdentity(directories: Directories): Result<CurveKeyPair> {
  const file = path.join(directories.state, identityFiles.keys);
  const made = ensureOwnDirectory(directories.state);
  if (!made.ok) return made;
  const refuse = (code: string, reason: string): Result<never> =>
    fail({
      kind: 'storage',
      code,
      object: file.slice(0, 512),
      reason,
      next: 'Remove it; a new key is made, and enrolments with the host have to be renewed.',
    });
  try {
    const existing = lstatSync(file, { throwIfNoEntry: false });
    if (existing === undefined) createWhole(file, `${JSON.stringify(curveKeyPair())}\n`);
    const status = lstatSync(file);
    if (!status.isFile() || status.uid !== process.geteuid?.()) {
      return refuse('identity-foreign', 'It belongs to somebody else or is no file.');
    }
    if ((status.mode & 0o077) !== 0) return refuse('identity-open', 'Others may read it.');
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const keys = KeyPairSchema.safeParse(content);
    if (!keys.success) return refuse('identity-invalid', 'It holds no key pair.');
    const publicFile = path.join(directories.state, identityFiles.publicKey);
    const line = `${keys.data.publicKey}\n`;
    if (readText(publicFile) !== line) writeWhole(publicFile, line, 0o644);
    return succeed(keys.data);
  } catch (error) {
    if (error instanceof SyntaxError) return refuse('identity-invalid', 'It is not JSON.');
    const code = errorCode(error);
    if (code === null) throw error;
    return refuse('identity-unusable', `The system reports ${code}.`);
  }
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
