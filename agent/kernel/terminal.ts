/**
 * Processes that a person talks to: on a pseudo-terminal of their own, or over plain pipes. No native addon: the pair
 * comes from /dev/ptmx (pty(7), ioctl_tty(2)), the controlling terminal from util-linux's `setsid --ctty`.
 */
import { fchownSync, fstatSync } from 'node:fs';
import { fail, type Result, succeed } from '../api/result.ts';
import { kernelFailure, settleCall } from './kernel-failure.ts';
import {
  closeDescriptor,
  controlDevice,
  controlDeviceWith,
  type DescriptorWatch,
  EAGAIN,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  openDescriptor,
  readDescriptor,
  watchDescriptor,
  writeDescriptor,
} from './native.ts';
import {
  type ProcessEnd,
  type ProcessOptions,
  type RunningProcess,
  startProcess,
} from './process.ts';

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCGPGRP = 0x540f;
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const IUTF8 = 0x4000;

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface SessionOptions extends ProcessOptions {
  /** Bytes as the process wrote them; `stream` is 'terminal' on a terminal. Copied: keep them as you like. */
  readonly onOutput: (data: Buffer, stream: 'terminal' | 'stdout' | 'stderr') => void;
  /** Whose the terminal is, so that their programs can open it by its path; the agent's user by default. */
  readonly terminalOwner?: { readonly uid: number } | undefined;
}

export interface TerminalOptions extends SessionOptions {
  readonly size?: TerminalSize | undefined;
}

/** A running process with its input and output. */
export interface Session {
  readonly pid: number;
  /** Queues bytes for the process; false when so many wait that the writer should pause. */
  readonly write: (data: Uint8Array | string) => boolean;
  /** Closes its input; on a terminal, types the end-of-file character. */
  readonly endInput: () => void;
  /** No output until `resume`; the process blocks when its buffer is full. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Signals the process group, and on a terminal the one in the foreground too. */
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Settles once, after the last output was delivered (so not while paused). */
  readonly ended: Promise<ProcessEnd>;
}

export interface TerminalSession extends Session {
  /** Path of the process's side, such as `/dev/pts/3`. */
  readonly path: string;
  readonly resize: (size: TerminalSize) => void;
}

function windowSize(size: TerminalSize): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(Math.min(65535, Math.max(1, Math.trunc(size.rows))), 0);
  bytes.writeUInt16LE(Math.min(65535, Math.max(1, Math.trunc(size.columns))), 2);
  return bytes;
}

interface TerminalPair {
  readonly master: number;
  readonly slave: number;
  readonly path: string;
}

function openPair(size: TerminalSize): Result<TerminalPair> {
  const object = 'pseudo-terminal';
  const opened = openDescriptor('/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (opened < 0) return fail(kernelFailure(object, { call: 'open', errno: -opened }));
  const give = (call: string, result: number): Result<TerminalPair> => {
    closeDescriptor(opened);
    return fail(kernelFailure(object, { call, errno: -result }));
  };
  const unlocked = controlDevice(opened, TIOCSPTLCK, Buffer.alloc(4));
  if (unlocked < 0) return give('TIOCSPTLCK', unlocked);
  const number = Buffer.alloc(4);
  const named = controlDevice(opened, TIOCGPTN, number);
  if (named < 0) return give('TIOCGPTN', named);
  const path = `/dev/pts/${number.readUInt32LE(0)}`;
  // Opened through the master (Linux 4.13), it is right whichever devpts is mounted here.
  const flags = O_RDWR | O_NOCTTY;
  let slave = controlDeviceWith(opened, TIOCGPTPEER, flags | O_CLOEXEC);
  if (slave < 0) slave = openDescriptor(path, flags);
  if (slave < 0) return give('TIOCGPTPEER', slave);
  // Erasing works on characters rather than bytes.
  const settings = Buffer.alloc(64);
  if (controlDevice(slave, TCGETS, settings) >= 0) {
    settings.writeUInt32LE((settings.readUInt32LE(0) | IUTF8) >>> 0, 0);
    controlDevice(slave, TCSETS, settings);
  }
  controlDevice(opened, TIOCSWINSZ, windowSize(size));
  return succeed({ master: opened, slave, path });
}

const chunkSize = 65536;
/** Reads before other work of the event loop has its turn. */
const readsPerTurn = 16;
/** Bytes waiting to be typed at which `write` asks for a pause. */
const inputMark = 65536;

/**
 * Starts a process on a new terminal, as the leader of a session that the terminal controls. TERM is xterm-256color
 * unless the environment says otherwise. Fails with 'kernel' (no terminal to be had) or 'process'.
 */
export function openTerminal(options: TerminalOptions): Result<TerminalSession> {
  const pair = openPair(options.size ?? { columns: 80, rows: 24 });
  if (!pair.ok) return pair;
  const { master, slave, path } = pair.value;
  if (options.terminalOwner !== undefined) giveAway(slave, options.terminalOwner.uid);
  // The child is no group leader, so setsid does not fork: its pid becomes the session's.
  const started = startProcess({
    ...options,
    file: 'setsid',
    args: ['--ctty', '--', options.file, ...options.args],
    environment: { TERM: 'xterm-256color', ...options.environment },
    channels: [slave, slave, slave],
  });
  closeDescriptor(slave);
  if (!started.ok) {
    closeDescriptor(master);
    return started;
  }
  return succeed(new Terminal(master, path, started.value, options.onOutput));
}

/** As login does; the group stays what the mount of devpts says. */
function giveAway(slave: number, uid: number): void {
  try {
    fchownSync(slave, uid, fstatSync(slave).gid);
  } catch {
    // It works without: what the terminal's path is for is only the odd program's concern.
  }
}

class Terminal implements TerminalSession {
  readonly pid: number;
  readonly path: string;
  readonly ended: Promise<ProcessEnd>;
  private readonly master: number;
  private readonly onOutput: TerminalOptions['onOutput'];
  private readonly running: RunningProcess;
  private readonly watch: DescriptorWatch;
  private readonly chunk = Buffer.allocUnsafeSlow(chunkSize);
  private readonly waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private paused = false;
  /** Nothing more will come: everything was read after the process had ended, or the terminal is gone. */
  private drained = false;
  private end: ProcessEnd | undefined;
  private finish: (end: ProcessEnd) => void = () => undefined;

  constructor(
    master: number,
    path: string,
    running: RunningProcess,
    onOutput: TerminalOptions['onOutput'],
  ) {
    this.master = master;
    this.path = path;
    this.running = running;
    this.pid = running.pid;
    this.onOutput = onOutput;
    this.ended = new Promise((resolve) => {
      this.finish = resolve;
    });
    this.watch = watchDescriptor(master, (ready) => {
      if (ready.writable) this.typeWaiting();
      if (ready.readable) this.read();
    });
    this.wait();
    void running.exited.then((end) => {
      this.end = end;
      this.read();
    });
  }

  private get closed(): boolean {
    return this.drained && this.end !== undefined;
  }

  private wait(): void {
    if (this.drained) this.watch.want({ readable: false, writable: false });
    else this.watch.want({ readable: !this.paused, writable: this.waiting.length > 0 });
  }

  /**
   * Reads until the terminal is empty. EAGAIN after the process has ended is the end as well: the kernel hands over
   * everything written before (n_tty_read flushes first), and what a left-behind grandchild may write is not ours.
   */
  private read(): void {
    for (let count = 0; !this.paused && !this.drained; count += 1) {
      if (count === readsPerTurn) {
        if (this.end !== undefined)
          setImmediate(() => {
            this.read();
          });
        return;
      }
      const length = readDescriptor(this.master, this.chunk);
      if (length > 0) {
        this.onOutput(Buffer.from(this.chunk.subarray(0, length)), 'terminal');
        continue;
      }
      if (length === -EAGAIN && this.end === undefined) return;
      // 0 or EIO: every descriptor of the other side is closed.
      this.drained = true;
    }
    this.wait();
    if (this.closed && this.end !== undefined) {
      this.watch.stop();
      closeDescriptor(this.master);
      this.finish(this.end);
      this.finish = () => undefined;
    }
  }

  private typeWaiting(): void {
    for (;;) {
      const [first] = this.waiting;
      if (first === undefined || this.drained) break;
      const written = writeDescriptor(this.master, first);
      if (written === -EAGAIN) break;
      if (written < 0) {
        this.waiting.length = 0;
        this.waitingBytes = 0;
        break;
      }
      this.waitingBytes -= written;
      if (written === first.length) this.waiting.shift();
      else this.waiting[0] = first.subarray(written);
    }
    this.wait();
  }

  readonly write = (data: Uint8Array | string): boolean => {
    if (this.drained) return true;
    const bytes = typeof data === 'string' ? Buffer.from(data) : Uint8Array.from(data);
    if (bytes.length === 0) return this.waitingBytes < inputMark;
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    this.typeWaiting();
    return this.waitingBytes < inputMark;
  };

  readonly endInput = (): void => {
    this.write('\u0004');
  };

  readonly pause = (): void => {
    this.paused = true;
    this.wait();
  };

  readonly resume = (): void => {
    if (!this.paused) return;
    this.paused = false;
    this.wait();
    if (this.end !== undefined)
      setImmediate(() => {
        this.read();
      });
  };

  readonly resize = (size: TerminalSize): void => {
    if (!this.closed) controlDevice(this.master, TIOCSWINSZ, windowSize(size));
  };

  readonly kill = (signal: NodeJS.Signals): void => {
    if (!this.drained) {
      const group = Buffer.alloc(4);
      const known = controlDevice(this.master, TIOCGPGRP, group) >= 0;
      const foreground = known ? group.readInt32LE(0) : 0;
      if (foreground > 1 && foreground !== this.pid) {
        try {
          process.kill(-foreground, signal);
        } catch {
          // It has ended in the meantime.
        }
      }
    }
    if (this.end === undefined && !this.running.killGroup(signal)) this.running.kill(signal);
  };
}

/** Starts a process over plain pipes, leading a group of its own. */
export function openPipes(options: SessionOptions): Result<Session> {
  const started = startProcess({ ...options, ownSession: true });
  if (!started.ok) return started;
  const running = started.value;
  const { output, errors, input } = running;
  output?.on('data', (data: Buffer) => {
    options.onOutput(data, 'stdout');
  });
  errors?.on('data', (data: Buffer) => {
    options.onOutput(data, 'stderr');
  });
  // Once the process has ended, a grandchild that keeps the pipes open must not keep the session.
  const ended = running.exited.then(async (end) => {
    const patience = new Promise<void>((resolve) => {
      const check = (): void => {
        if (output?.isPaused() === true) setTimeout(check, 200);
        else resolve();
      };
      setTimeout(check, 200);
    });
    await Promise.race([running.closed, patience]);
    return end;
  });
  return succeed({
    pid: running.pid,
    write: (data) => input?.writable === true && input.write(data),
    endInput() {
      input?.end();
    },
    pause() {
      output?.pause();
      errors?.pause();
    },
    resume() {
      output?.resume();
      errors?.resume();
    },
    kill(signal) {
      if (!running.killGroup(signal)) running.kill(signal);
    },
    ended,
  });
}

/** A bare pair for programs that want a terminal of someone else's making (a virtual machine's console). */
export function openTerminalPair(size: TerminalSize): Result<TerminalPair> {
  return openPair(size);
}

/** For callers that hold a pair: sets the size the program sees. */
export function resizeTerminal(master: number, size: TerminalSize): Result<number> {
  return settleCall(controlDevice(master, TIOCSWINSZ, windowSize(size)), 'TIOCSWINSZ', 'terminal');
}
