import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../../agent/kernel/process.ts';
import { readProcess } from '../../agent/kernel/process-table.ts';
import { openPipes, openTerminal } from '../../agent/kernel/terminal.ts';
import { must } from './netlink-private.ts';

function gather(): { text: () => string; onOutput: (data: Buffer) => void } {
  const chunks: Buffer[] = [];
  return { text: () => Buffer.concat(chunks).toString(), onOutput: (data) => chunks.push(data) };
}

describe('a terminal', () => {
  it('controls its process, has a size, and delivers everything before the end', async () => {
    const output = gather();
    const session = must(
      openTerminal({
        file: 'sh',
        args: ['-c', 'tty; stty size; seq 1 50000; read line; stty size; echo "<$line>"; exit 7'],
        purpose: 'test',
        size: { columns: 100, rows: 30 },
        onOutput: output.onOutput,
      }),
    );
    await expect.poll(output.text, { interval: 5 }).toContain('\n50000\r\n');
    expect(readProcess(session.pid)?.session).toBe(session.pid);
    session.resize({ columns: 50, rows: 20 });
    session.write('größe\r');
    expect(await session.ended).toEqual({ exitCode: 7, signal: null });
    const text = output.text();
    expect(text.startsWith(`${session.path}\r\n30 100\r\n1\r\n`)).toBe(true);
    expect(text.endsWith('größe\r\n20 50\r\n<größe>\r\n')).toBe(true);
    expect(text.split('\r\n')).toHaveLength(50_000 + 6);
  });

  it('holds output back while paused and gives the rest afterwards', async () => {
    const output = gather();
    const session = must(
      openTerminal({
        file: 'seq',
        args: ['1', '20000'],
        purpose: 'test',
        onOutput: output.onOutput,
      }),
    );
    session.pause();
    const before = output.text().length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(output.text()).toHaveLength(before);
    session.resume();
    await session.ended;
    expect(output.text().endsWith('20000\r\n')).toBe(true);
  });

  it('takes much input, and signals and Ctrl-C end what runs in it', async () => {
    const output = gather();
    const count = must(
      // The line discipline may drop echoes under pressure, never input.
      openTerminal({
        file: 'sh',
        args: ['-c', 'stty -echo; echo ready; exec cat'],
        purpose: 'test',
        onOutput: output.onOutput,
      }),
    );
    await expect.poll(output.text, { interval: 5 }).toBe('ready\r\n');
    for (let line = 0; line < 2000; line += 1) count.write(`${'x'.repeat(98)}\n`);
    await expect.poll(() => output.text().split('\n').length, { interval: 10 }).toBe(2002);
    count.write('\u0003');
    expect(await count.ended).toEqual({ exitCode: null, signal: 'SIGINT' });

    const shell = must(
      openTerminal({ file: 'sleep', args: ['60'], purpose: 'test', onOutput: () => undefined }),
    );
    shell.kill('SIGTERM');
    expect(await shell.ended).toEqual({ exitCode: null, signal: 'SIGTERM' });
  });

  it('ends although a grandchild keeps the terminal, and gives its descriptors back', async () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 5; round += 1) {
      const output = gather();
      const session = must(
        openTerminal({
          file: 'sh',
          args: ['-c', 'trap "" HUP; sleep 3 & echo started; exit 3'],
          purpose: 'test',
          onOutput: output.onOutput,
        }),
      );
      expect(await session.ended).toEqual({ exitCode: 3, signal: null });
      expect(output.text()).toBe('started\r\n');
    }
    expect(count()).toBe(before);
  });
});

describe('pipes', () => {
  it('keep output and errors apart', async () => {
    const seen: string[] = [];
    const session = must(
      openPipes({
        file: 'sh',
        args: ['-c', 'cat; echo bad >&2; exit 2'],
        purpose: 'test',
        onOutput: (data, stream) => seen.push(`${stream}: ${data.toString()}`),
      }),
    );
    session.write('hello');
    session.endInput();
    expect(await session.ended).toEqual({ exitCode: 2, signal: null });
    expect(seen.sort()).toEqual(['stderr: bad\n', 'stdout: hello']);
  });
});

describe('a command', () => {
  it('runs without a shell, in an environment of its own', async () => {
    process.env['SECRET'] = 'x';
    const outcome = await runCommand({
      file: 'env',
      args: [],
      purpose: 'test',
      environment: { EXTRA: '$(id)' },
    });
    delete process.env['SECRET'];
    expect(must(outcome).stdout.trim().split('\n').sort()).toEqual([
      'EXTRA=$(id)',
      'LC_ALL=C',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ]);
  });

  it('fails by kind: missing, too slow, too much, cancelled, killed', async () => {
    const kind = async (options: Partial<Parameters<typeof runCommand>[0]>): Promise<unknown> => {
      const outcome = await runCommand({ file: 'sh', args: [], purpose: 'test', ...options });
      return outcome.ok ? outcome.value.exitCode : outcome.failure.code;
    };
    expect(await kind({ file: 'no-such-program' })).toBe('program-missing');
    expect(await kind({ args: ['-c', 'sleep 60 | cat'], timeout: 100 })).toBe('command-timeout');
    expect(await kind({ file: 'yes', maximumOutput: 1000 })).toBe('output-too-large');
    expect(await kind({ args: ['-c', 'kill -9 $$'] })).toBe('ended-by-signal');
    expect(await kind({ args: ['-c', 'exit 9'] })).toBe(9);
    const controller = new AbortController();
    const running = kind({ args: ['-c', 'sleep 60'], signal: controller.signal });
    controller.abort();
    expect(await running).toBe('command-cancelled');
    expect(await kind({ file: 'cat', input: 'x'.repeat(200_000) })).toBe(0);
  });
});
