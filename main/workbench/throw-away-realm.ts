import { randomBytes } from 'node:crypto';
import type { RealmName, Result } from '../../agent/api/index.ts';
import type { AgentConnection, RealmDoor } from './realm-door.ts';

/** Runs `work` in a realm that nobody else knows, and leaves nothing of it behind. `stem` has at most 16 letters. */
export async function inThrowAwayRealm<T>(
  door: RealmDoor,
  stem: string,
  work: (agent: AgentConnection, realm: RealmName) => Promise<Result<T>>,
): Promise<Result<T>> {
  const realm: RealmName = `sandbox:${stem}-${randomBytes(5).toString('hex')}`;
  try {
    const started = await door.start(realm);
    if (!started.ok) return started;
    try {
      return await work(started.value, realm);
    } finally {
      started.value.close();
    }
  } finally {
    await door.discard(realm);
  }
}
