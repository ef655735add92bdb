/**
 * Processes that people have bound to a lab's CPU groups: `<state>/labs/NAME/bindings.json`. Written before a process is
 * moved, so that whatever happens it can be put back where it was.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { stateFiles } from '../api/realm-files.ts';
import { type Result, succeed } from '../api/result.ts';
import { readTextFile, removeDurably, writeDurably } from './durable-file.ts';

const BindingSchema = z.strictObject({
  pid: z.number().int(),
  /** Clock ticks after boot: with the pid it names a process for good. */
  startTime: z.number(),
  /** Path of the group in the lab's split. */
  group: z.string(),
  /** Directories of control groups that it was in before, by the hierarchy's; null where that could not be seen. */
  origin: z.array(z.string().nullable()),
});
export type Binding = Readonly<z.infer<typeof BindingSchema>>;

const BindingsSchema = z.strictObject({
  /** Boot and realm: processes of another have ended. */
  incarnation: z.string(),
  bindings: z.array(BindingSchema),
});

export class BindingStore {
  private readonly directory: string;
  private readonly incarnation: string;

  constructor(stateDirectory: string, incarnation: string) {
    this.directory = join(stateDirectory, stateFiles.labs);
    this.incarnation = incarnation;
  }

  /** None for a file that is missing, cannot be read, or is of another boot. */
  read(lab: string): readonly Binding[] {
    const text = readTextFile(this.fileOf(lab));
    if (!text.ok || text.value === null) return [];
    let content: unknown;
    try {
      content = JSON.parse(text.value);
    } catch {
      return [];
    }
    const parsed = BindingsSchema.safeParse(content);
    return parsed.success && parsed.data.incarnation === this.incarnation
      ? parsed.data.bindings
      : [];
  }

  write(lab: string, bindings: readonly Binding[]): Result<void> {
    if (bindings.length === 0) {
      const text = readTextFile(this.fileOf(lab));
      return text.ok && text.value === null ? succeed(undefined) : removeDurably(this.fileOf(lab));
    }
    const content = { incarnation: this.incarnation, bindings };
    return writeDurably(this.fileOf(lab), `${JSON.stringify(content)}\n`);
  }

  private fileOf(lab: string): string {
    return join(this.directory, lab, stateFiles.bindings);
  }
}
