import { type Result, succeed } from '../../agent/api/index.ts';
import { type Settings, SettingsSchema } from '../bridge/contract.ts';
import { readJsonFile, setAside, writeTextFile } from './atomic-file.ts';

export const defaultSettings: Settings = {
  theme: 'system',
  language: 'system',
  lastDocument: null,
  view: 'library',
  layout: {},
};

/** The person's settings in one JSON file. What cannot be read falls back to its default, never to a failure. */
export class SettingsFile {
  readonly #file: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  async read(): Promise<Settings> {
    const value = await readJsonFile(this.#file);
    if (value === undefined) return defaultSettings;
    const whole = SettingsSchema.safeParse(value);
    if (whole.success) return whole.data;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      await setAside(this.#file);
      return defaultSettings;
    }
    // Another version may know other fields: keep those that are understood.
    const settings = { ...defaultSettings };
    const fields = new Map<string, unknown>(Object.entries(value));
    const { theme, language, lastDocument, view, layout } = SettingsSchema.shape;
    return {
      theme: theme.catch(settings.theme).parse(fields.get('theme')),
      language: language.catch(settings.language).parse(fields.get('language')),
      lastDocument: lastDocument.catch(settings.lastDocument).parse(fields.get('lastDocument')),
      view: view.catch(settings.view).parse(fields.get('view')),
      layout: layout.catch(settings.layout).parse(fields.get('layout')),
    };
  }

  /** Writes one after the other, in the order asked for. */
  async write(settings: Settings): Promise<Result<Record<string, never>>> {
    const turn = this.#last.then(() =>
      writeTextFile(this.#file, `${JSON.stringify(settings, null, 2)}\n`, 0o600),
    );
    this.#last = turn;
    const written = await turn;
    return written.ok ? succeed({}) : written;
  }
}
