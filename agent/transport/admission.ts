/** Who may speak to the agent: the enrolment file, and the decision over one connection. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Enrolment, EnrolmentSchema, realmFiles } from '../api/index.ts';
import type { AdmissionRequest } from './socket.ts';

export type EnrolledClient = Enrolment['clients'][number];

/** `enrolled.json`, read again whenever the file is another one or has changed. */
export class EnrolmentFile {
  readonly #path: string;
  #stamp = '';
  #clients: readonly EnrolledClient[] = [];
  #problem: string | null = null;

  constructor(directory: string) {
    this.#path = join(directory, realmFiles.enrolment);
  }

  /** Why nobody is enrolled, when the file cannot be used; null when it can. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Those who are enrolled now. A file that cannot be read or does not match its schema enrols nobody. */
  read(): readonly EnrolledClient[] {
    try {
      const { mtimeNs, ino, size } = statSync(this.#path, { bigint: true });
      const stamp = `${ino}:${size}:${mtimeNs}`;
      if (stamp === this.#stamp) return this.#clients;
      const content: unknown = JSON.parse(readFileSync(this.#path, 'utf8'));
      this.#clients = EnrolmentSchema.parse(content).clients;
      this.#stamp = stamp;
      this.#problem = null;
    } catch (error) {
      this.#clients = [];
      this.#stamp = '';
      this.#problem = error instanceof Error ? error.message.slice(0, 500) : String(error);
    }
    return this.#clients;
  }
}

export interface AdmissionDecision {
  readonly admitted: boolean;
  /** Stable word for the log. */
  readonly reason:
    'enrolled' | 'not-curve' | 'no-credentials' | 'unknown-key' | 'wrong-door' | 'wrong-uid';
  readonly uid: number | null;
  readonly pid: number | null;
}

/**
 * Two factors: the key is enrolled, and the kernel says that the peer runs as the uid it is enrolled for. `doorKey` is
 * the key whose door is knocked at: nobody else comes through it.
 */
export function decideAdmission(
  request: AdmissionRequest,
  doorKey: string,
  clients: readonly EnrolledClient[],
): AdmissionDecision {
  const match = /^localhost:(?<uid>\d+):\d+:(?<pid>\d+)$/.exec(request.address);
  const uid = match?.groups?.['uid'] === undefined ? null : Number(match.groups['uid']);
  const pid = match?.groups?.['pid'] === undefined ? null : Number(match.groups['pid']);
  const decide = (reason: AdmissionDecision['reason']): AdmissionDecision => ({
    admitted: reason === 'enrolled',
    reason,
    uid,
    pid,
  });
  if (request.mechanism !== 'CURVE' || request.key === null) return decide('not-curve');
  if (uid === null) return decide('no-credentials');
  const client = clients.find(({ key }) => key === request.key);
  if (client === undefined) return decide('unknown-key');
  if (request.key !== doorKey) return decide('wrong-door');
  if (client.uid !== uid) return decide('wrong-uid');
  return decide('enrolled');
}
