/** The program behind a window, whichever shell shows it: workbench, library and bridge, put together. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Capability } from '../../agent/api/index.ts';
import { findDirectories } from '../agent-link/directories.ts';
import { nameOfUser } from '../agent-link/keeper.ts';
import { BridgeHost } from '../bridge/host.ts';
import { Library } from '../library/library.ts';
import { libraryDirectories } from '../library/library-directories.ts';
import { SettingsFile } from '../library/settings.ts';
import { agentDoor } from './agent-door.ts';
import { bridgeHandlers } from './bridge-handlers.ts';
import { examineMachine } from './doctor.ts';
import { readProcessors } from './processors.ts';
import { readLab } from './read-lab.ts';
import { Workbench } from './workbench.ts';

export interface ProgramOptions {
  readonly applicationRoot: string;
  readonly shell: 'browser' | 'desktop';
  /** The person asked to quit (in the window; labs have been dealt with by then). */
  readonly quit: () => void;
  readonly log?: (line: string) => void;
}

export interface Program {
  readonly host: BridgeHost;
  readonly workbench: Workbench;
  readonly library: Library;
  readonly settings: SettingsFile;
  /** Lets go of all agents and files; labs keep running. What the doctor tries in a realm of its own ends first. */
  close(): Promise<void>;
}

function readVersion(applicationRoot: string): string {
  const text = readFileSync(path.join(applicationRoot, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

export function startProgram(options: ProgramOptions): Program {
  const { applicationRoot, shell } = options;
  const log = options.log ?? ((line: string) => process.stderr.write(`netloom: ${line}\n`));
  const directories = findDirectories();
  const places = libraryDirectories(directories, applicationRoot);
  const door = agentDoor({
    applicationRoot,
    directories,
    onWarning: (realm, sentence) => {
      log(`${realm}: ${sentence}`);
    },
  });
  const workbench = new Workbench({
    door,
    publish: (message) => {
      host.publish(message);
    },
  });
  const library = new Library(places, readLab, {
    libraryChanged: () => {
      host.publish({ stream: 'library', value: { changed: true } });
    },
    documentChanged: (file, version) => {
      host.publish({ stream: 'document', value: { path: file, version } });
    },
  });
  let examination: Promise<readonly Capability[]> | null = null;
  const settings = new SettingsFile(places.settingsFile);
  const host = new BridgeHost(
    bridgeHandlers({
      workbench,
      library,
      settings,
      info: {
        version: readVersion(applicationRoot),
        shell,
        user: nameOfUser() || `uid ${String(process.geteuid?.() ?? '?')}`,
        root: process.geteuid?.() === 0,
        kernel: release(),
        libraryDirectory: library.directory,
        captureDirectory: places.captures,
        processors: [...readProcessors()],
      },
      doctor: () => {
        // Every window asks at its start: one look serves all that ask meanwhile.
        examination ??= examineMachine({ door, applicationRoot }).finally(() => {
          examination = null;
        });
        return examination;
      },
      quit: options.quit,
    }),
    log,
  );
  library.watch();
  workbench.watch();
  return {
    host,
    workbench,
    library,
    settings,
    close: async () => {
      await examination?.catch(() => undefined);
      workbench.close();
      library.close();
    },
  };
}
