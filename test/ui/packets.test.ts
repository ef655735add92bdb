/**
 * The first ping seen crossing the wire, in real Chromium on a real network: rates on the drawing, a capture with its
 * packets, filters and fields, and a file that tshark reads.
 */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OwnWindow } from '../harness/own-window.ts';
import type { Person } from '../harness/person.ts';
import { runTsharkOn } from '../harness/tshark.ts';
import { centreOf } from '../harness/window.ts';

const lab = 'two-namespaces';

let window: OwnWindow;
let page: Page;
let person: Person;
const pings: ChildProcess[] = [];

beforeAll(async () => {
  window = await OwnWindow.open();
  ({ page, person } = window);
});

afterAll(async () => {
  for (const ping of pings) ping.kill('SIGKILL');
  await window.close();
});

const picture = (name: string): Promise<void> => window.picture(`packets-${name}`);
const packets = () => page.getByTestId('packets');
const rows = () => page.getByTestId('packet');
const count = async (): Promise<number> =>
  Number(await page.getByTestId('packet-count').getAttribute('data-count'));
const label = () => page.locator('[data-rate-of="link:0"]');
const busy = async (): Promise<number> =>
  Number(await page.getByTestId('traffic').getAttribute('data-busy'));

/** Pings r2 from r1 inside of the realm, until it ends or is killed. */
function startPing(...args: string[]): ChildProcess {
  const ping = window.startIn(lab, 'r1', ['ping', ...args, '172.16.0.2']);
  pings.push(ping);
  return ping;
}

/** Sockets of packet(7) in r1: a ring is one. */
function packetSockets(): number {
  const run = window.realmOf(lab);
  return (
    run(['ip', 'netns', 'exec', 'r1', 'cat', '/proc/net/packet']).trim().split('\n').length - 1
  );
}

describe('traffic on the drawing', () => {
  it('is quiet on a lab that is up and where nobody talks', async () => {
    await page
      .getByTestId('gallery-two-namespaces')
      .getByRole('button', { name: 'Two namespaces', exact: true })
      .click();
    await expect.poll(() => person.card('r1').isVisible()).toBe(true);
    await person.planAndApply();
    await expect.poll(() => person.card('r1').getAttribute('data-presence')).toBe('real');
    await expect.poll(busy, { timeout: 20_000 }).toBe(0);
  });

  it('moves along the wire while a ping runs, with its rate on the wire that is selected', async () => {
    startPing('-i', '0.2');
    await expect.poll(busy).toBe(1);
    const from = await centreOf(person.port('r1:veth1.1'));
    const to = await centreOf(person.port('r2:veth1.2'));
    await page.mouse.click((from.x + to.x) / 2, (from.y + to.y) / 2);
    const rate = String.raw`\s+[\d.]+ kbit/s · [3-7]\.\d packets/s`;
    await expect
      .poll(() => label().innerText())
      .toMatch(new RegExp(`r1 → r2${rate}\\s+r2 → r1${rate}`));
    const strip = page.getByTestId('traffic-strip');
    await expect.poll(() => strip.innerText()).toMatch(/r1 → r2[\s\S]*packets\/s/);
    await expect.poll(() => strip.locator('polyline').count()).toBeGreaterThan(0);
    await page.waitForTimeout(3_000);
    await picture('wire');
  });
});

/** Bits a second of `4.17 Mbit/s`. */
function bitsOf(text: string): number {
  const [, size = '', prefix = ''] = /([\d.]+) ([kMG]?)bit\/s/.exec(text) ?? [];
  return Number(size) * ({ k: 1e3, M: 1e6, G: 1e9 }[prefix] ?? 1);
}

describe('the rate on the wire', () => {
  it('is what was sent with its headers, within a twentieth', async () => {
    const ping = startPing('-q', '-i', '0.01', '-s', '1400', '-w', '9');
    let said = '';
    ping.stdout?.on('data', (data: Buffer) => (said += data.toString()));
    const ended = new Promise((resolve) => ping.once('close', resolve));
    await expect.poll(async () => bitsOf(await label().innerText())).toBeGreaterThan(500_000);
    await page.waitForTimeout(1_500);
    const seen: number[] = [];
    for (let reading = 0; reading < 8; reading += 1) {
      seen.push(bitsOf(await label().innerText()));
      await page.waitForTimeout(500);
    }
    await picture('faster');
    await ended;
    const [, sent = '', time = ''] = /(\d+) packets transmitted.* time (\d+)ms/.exec(said) ?? [];
    // Octets of Ethernet, IPv4, ICMP and of what was asked for.
    const expected = (Number(sent) * (14 + 20 + 8 + 1400) * 8) / (Number(time) / 1000);
    const shown = seen.reduce((sum, each) => sum + each, 0) / seen.length;
    expect(shown / expected).toBeGreaterThan(0.95);
    expect(shown / expected).toBeLessThan(1.05);
  });
});

describe('a capture', () => {
  it('starts from the wire that is selected, and lists requests and replies as they come', async () => {
    await page.getByTestId('capture-here').click();
    await expect.poll(count).toBeGreaterThan(4);
    const text = (await rows().allInnerTexts()).join('\n');
    expect(text).toMatch(/172\.16\.0\.1\s+172\.16\.0\.2\s+ICMP\s+98\s+Echo request, id/);
    expect(text).toMatch(/172\.16\.0\.2\s+172\.16\.0\.1\s+ICMP\s+98\s+Echo reply, id/);
    expect(text).toContain('r1:veth1.1');
    expect(await page.getByTestId('packet-drops').innerText()).toBe('0 dropped');
    expect(packetSockets()).toBe(1);
    await picture('live');
  });

  it('takes a packet apart, fields and bytes linked to each other, and lights its wire', async () => {
    await rows().filter({ hasText: 'Echo request' }).first().click();
    const detail = page.getByTestId('packet-detail');
    await expect.poll(() => detail.isVisible()).toBe(true);
    const type = page.getByTestId('field-tree').locator('[data-field="icmp.type"]');
    await expect.poll(() => type.innerText()).toMatch(/Type\s+8 \(/);
    await type.hover();
    // Behind 14 octets of Ethernet and 20 of IPv4.
    await expect
      .poll(() => page.getByTestId('hex').locator('.cells i.lit').allInnerTexts())
      .toEqual(['08']);
    expect(await page.getByTestId('hex').locator('.cells i.lit').getAttribute('data-byte')).toBe(
      '34',
    );
    await page.getByTestId('field-tree').locator('[data-field="ip"] .fold').click();
    await page.getByTestId('hex').locator('[data-byte="30"]').first().hover();
    await expect
      .poll(() => page.getByTestId('field-tree').locator('.lit').getAttribute('data-field'))
      .toBe('ip.dst');
    await expect.poll(() => person.port('r1:veth1.1').getAttribute('class')).toContain('traced');
    await picture('packet');
  });

  it('narrows the list by a display filter, and says what is wrong with one', async () => {
    const field = page.getByTestId('display-filter');
    await page.getByTestId('packet-list').focus();
    await page.keyboard.press('/');
    await page.keyboard.type('icmp.type == 0');
    await expect
      .poll(async () => {
        const infos = await rows().locator('.info').allInnerTexts();
        return infos.length > 0 && infos.every((info) => info.startsWith('Echo reply'));
      })
      .toBe(true);
    await picture('filtered');
    await field.fill('icmp.tpye == 0');
    await expect
      .poll(() => packets().locator('#display-fault').innerText())
      .toContain('there is no field or protocol icmp.tpye. Did you mean icmp.type?');
    await picture('filter-fault');
    await page.getByTestId('packet-conversation').click();
    expect(await field.inputValue()).toBe('ip.addr == 172.16.0.1 && ip.addr == 172.16.0.2');
    await expect.poll(() => packets().locator('#display-fault').count()).toBe(0);
    await field.fill('');
    await expect.poll(() => page.getByTestId('packet-count').innerText()).not.toContain('/');
  });

  it('is moved in by arrow keys', async () => {
    await page.getByTestId('packet-list').focus();
    await page.keyboard.press('Home');
    const picked = () => packets().locator('.row.picked').getAttribute('data-number');
    await expect.poll(picked).toBe('1');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await expect.poll(picked).toBe('3');
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByTestId('packet-detail').count()).toBe(0);
  });

  it('is stopped, and leaves no socket behind; what it keeps is still there', async () => {
    await page.getByTestId('capture-stop').click();
    await expect.poll(() => page.getByTestId('capture-start').isVisible()).toBe(true);
    await expect.poll(packetSockets).toBe(0);
    expect(await rows().count()).toBeGreaterThan(4);
    await picture('stopped');
  });

  it('shows its flows', async () => {
    await page.getByTestId('packets-view-flows').click();
    const flow = page.getByTestId('packet-flow').filter({ hasText: '172.16.0.1' });
    await expect.poll(() => flow.innerText()).toMatch(/^r1\s+ICMP\s+172\.16\.0\.1\s+172\.16\.0\.2/);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy as comma-separated values' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied).toMatch(/^namespace,protocol,first end,/);
    expect(copied).toMatch(/^r1,icmp,172\.16\.0\.1,,172\.16\.0\.2,,\d+,\d+,.*,r1:veth1\.1,,/m);
    await picture('flows');
    await page.getByTestId('packets-view-packets').click();
  });

  it('is saved as pcapng, which tshark reads with the same packets and interface names', async () => {
    const all = await count();
    await page.getByTestId('capture-save').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox').fill('first ping');
    await picture('save');
    await dialog.getByRole('button', { name: 'Save', exact: true }).click();
    await expect
      .poll(() => page.getByText(`Saved ${String(all)} packets in`).isVisible())
      .toBe(true);
    const directory = path.join(window.home, 'data', 'netloom', 'captures');
    expect(readdirSync(directory)).toEqual(['first ping.pcapng']);
    const file = readFileSync(path.join(directory, 'first ping.pcapng'));
    const fields = ['frame.interface_name', 'ip.src', 'ip.dst', 'icmp.type'];
    const lines = runTsharkOn(file, ['-T', 'fields', ...fields.flatMap((name) => ['-e', name])])
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(lines).toHaveLength(all);
    expect(lines.filter(([, , , type]) => type === '8').length).toBeGreaterThan(4);
    for (const [name, source, destination, type] of lines) {
      expect(name).toBe('r1:veth1.1');
      if (type === '8') expect([source, destination]).toEqual(['172.16.0.1', '172.16.0.2']);
      if (type === '0') expect([source, destination]).toEqual(['172.16.0.2', '172.16.0.1']);
    }
  });

  it('says with the compiler’s own words what is wrong with a capture filter', async () => {
    await page.getByTestId('capture-filter').fill('icmp andd arp');
    await page.getByTestId('capture-start').click();
    await expect
      .poll(() => packets().locator('#capture-refusal').innerText())
      .toContain('syntax error');
    await picture('capture-filter');
  });

  it('captures on the whole lab where nothing is selected, and shows a packet’s way', async () => {
    await page.getByTestId('capture-filter').fill('icmp');
    await page.getByTestId('topology-canvas').focus();
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByTestId('capture-subject').innerText()).toBe('whole lab');
    await page.getByTestId('capture-start').click();
    await expect.poll(count).toBeGreaterThan(8);
    await page.getByTestId('packets-pause').click();
    await rows().filter({ hasText: 'Echo request' }).first().click();
    await expect
      .poll(() => page.getByTestId('packet-way').locator('.hop').allInnerTexts())
      .toEqual([
        expect.stringMatching(/^r1:veth1\.1/),
        expect.stringMatching(/^r2:veth1\.2\s*\+\d+ µs/),
      ]);
    await picture('way');
    await page.getByTestId('packet-list').focus();
    // By arrows along its way, from where it was sent to where it came in.
    const hop = () => page.getByTestId('packet-way').locator('[aria-pressed="true"]').innerText();
    await page.keyboard.press('ArrowLeft');
    await expect.poll(hop).toContain('r1:veth1.1');
    await page.keyboard.press('ArrowRight');
    await expect.poll(hop).toContain('r2:veth1.2');
  });

  it('names the processes that hold a connection', async () => {
    const again = async (filter: string): Promise<void> => {
      await page.getByTestId('capture-stop').click();
      await page.getByTestId('capture-filter').fill(filter);
      await page.getByTestId('capture-start').click();
      await expect.poll(() => page.getByTestId('capture-stop').isVisible()).toBe(true);
    };
    await again('tcp port 8080');
    await page.getByTestId('packets-view-flows').click();
    const ready = `() => console.log('ready')`;
    const server = `require('net').createServer(() => {}).listen(8080, '172.16.0.2', ${ready})`;
    const client = `require('net').connect({ host: '172.16.0.2', port: 8080 }, ${ready})`;
    const children: ChildProcess[] = [];
    for (const [node, text] of [
      ['r2', server],
      ['r1', client],
    ] as const) {
      const child = window.startIn(lab, node, [process.execPath, '-e', text]);
      children.push(child);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
    }
    // In each namespace the one that is there, by the realm's own count.
    for (const node of ['r1', 'r2']) {
      const [pid = ''] =
        window
          .realmOf(lab)(['ip', 'netns', 'pids', node])
          .match(/\d+(?=\s*$)/) ?? [];
      const flow = page.getByTestId('packet-flow').filter({ hasText: new RegExp(`^${node}`) });
      await expect.poll(() => flow.innerText()).toContain(`node (${pid})`);
    }
    await picture('processes');
    await page.emulateMedia({ colorScheme: 'dark' });
    await picture('processes-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    for (const child of children) child.kill('SIGKILL');
    await page.getByTestId('packets-view-packets').click();
    await again('icmp');
    await expect.poll(count).toBeGreaterThan(8);
  });
});

describe('the window', () => {
  it('looks as well in the dark', async () => {
    await page.emulateMedia({ colorScheme: 'dark' });
    await picture('dark');
    await page.emulateMedia({ colorScheme: 'light' });
  });

  it('fits a small window, in Chinese and in the dark', async () => {
    const other = await window.another({ colorScheme: 'dark', locale: 'zh-CN' });
    try {
      await other.page.setViewportSize({ width: 1100, height: 760 });
      await other.page.getByTestId('drawer-packets').click();
      await other.page.getByTestId('capture-start').click();
      await expect
        .poll(() => other.page.getByTestId('packet').count(), { timeout: 20_000 })
        .toBeGreaterThan(6);
      await other.page.keyboard.press('Tab');
      await other.page.getByTestId('packet-list').focus();
      await other.page.keyboard.press('Home');
      await expect.poll(() => other.page.getByTestId('field-tree').isVisible()).toBe(true);
      expect(
        await other.page.evaluate(
          () => document.documentElement.scrollWidth > globalThis.innerWidth,
        ),
      ).toBe(false);
      const text = await other.page.getByTestId('packets').innerText();
      expect(text).toMatch(/\d+ 个数据包/);
      // A key without a text shows as the key itself.
      expect(text).not.toMatch(/\b(?:packets|traffic)\.[a-z]/);
      await window.picture('packets-small-zh', other.page);
      await other.page.getByTestId('drawer-packets').click();
      expect(other.complaints).toEqual([]);
      expect(packetSockets()).toBe(2);
    } finally {
      await other.context.close();
    }
    // A window that is closed takes its capture with it.
    await expect.poll(packetSockets).toBe(1);
  });

  it('moves nothing for whoever asks for no motion, and says the rates', async () => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await expect.poll(() => label().isVisible()).toBe(true);
    // A reading later the bands are there.
    await page.waitForTimeout(1_000);
    await picture('still');
    await page.emulateMedia({ reducedMotion: 'no-preference' });
  });

  it('grows quiet when the ping ends', async () => {
    const run = window.realmOf(lab);
    for (const pid of run(['ip', 'netns', 'pids', 'r1']).split(/\s+/).filter(Boolean)) {
      run(['kill', '-INT', pid]);
    }
    await expect.poll(busy, { timeout: 20_000 }).toBe(0);
  });

  it('has not complained', () => {
    expect(window.complaints).toEqual([]);
  });
});
