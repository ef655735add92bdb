/** Captures of the person's disk, opened in real Chromium where no lab is up: the same list, filter, fields and flows. */
import { Buffer } from 'node:buffer';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CaptureWriter } from '../../agent/dissect/capture/capture-writer.ts';
import { OwnWindow } from '../harness/own-window.ts';
import { bytes, frame, message, packet4, udpFrame } from '../harness/packets.ts';
import type { Person } from '../harness/person.ts';

let window: OwnWindow;
let page: Page;
let person: Person;

beforeAll(async () => {
  window = await OwnWindow.open();
  ({ page, person } = window);
});
afterAll(async () => {
  await window.close();
});

const rows = () => page.getByTestId('packet');
const sayings = () => page.getByTestId('file-saying').allInnerTexts();
const count = async (): Promise<number> =>
  Number(await page.getByTestId('packet-count').getAttribute('data-count'));

/** Echo requests at eth0 and datagrams at eth1, by turns; `start` is where the last packet's record begins. */
function written(packets: number): { readonly data: Buffer; readonly start: number } {
  const request = frame(0x0800, packet4(1, message('08 00 00 00 00 01 00 01')));
  const datagram = udpFrame(bytes('aa bb cc'), { source: 4000, destination: 5000 });
  const writer = new CaptureWriter();
  const blocks = [writer.section('a test', 'Linux')];
  for (const name of ['eth0', 'eth1']) {
    blocks.push(writer.interface({ namespace: 'r1', name, linkType: 1, snapLength: 0 }).bytes);
  }
  for (let number = 0; number < packets; number += 1) {
    const captured = number % 2 === 0 ? request : datagram;
    const time = { seconds: 1_700_000_000 + number, nanoseconds: 0 };
    const wireLength = captured.length;
    blocks.push(writer.packet({ interface: number % 2, time, bytes: captured, wireLength }));
  }
  const data = Buffer.concat(blocks);
  return { data, start: data.length - (blocks.at(-1)?.length ?? 0) };
}

async function choose(name: string, buffer: Buffer): Promise<void> {
  await page
    .getByTestId('packet-file')
    .setInputFiles({ name, mimeType: 'application/octet-stream', buffer });
  await expect.poll(() => page.getByTestId('packet-file-name').innerText()).toBe(name);
}

describe('a file of captures', () => {
  it('opens where no lab is up, from its first packet on', async () => {
    await page.getByTestId('gallery-two-namespaces').locator('button.cover').click();
    await expect.poll(() => person.card('r1').isVisible()).toBe(true);
    await page.getByRole('tab', { name: 'Packets' }).click();
    await choose('office.pcapng', written(1000).data);
    await expect.poll(count).toBe(1000);
    await expect.poll(() => page.getByTestId('capture-start').isVisible()).toBe(true);
    const first = await rows().first().innerText();
    expect(first).toMatch(/^1\s/);
    expect(first).toMatch(/r1:eth0\s+10\.0\.0\.1\s+10\.0\.0\.2\s+ICMP/);
    expect(await sayings()).toEqual([]);
    await window.picture('packet-file-list');
  });

  it('is filtered, and its packets are taken apart', async () => {
    await page.getByTestId('display-filter').fill('udp.dstport == 5000');
    await expect
      .poll(() => page.getByTestId('packet-count').innerText())
      .toMatch(/^500 \/ 1,000 packets$/);
    await rows().first().click();
    const field = page.getByTestId('field-tree').locator('[data-field="udp.dstport"]');
    await expect.poll(() => field.innerText()).toMatch(/5000/);
    // Behind 14 octets of Ethernet, 20 of IPv4 and the source's port.
    await field.hover();
    const lit = page.getByTestId('hex').locator('.cells i.lit');
    await expect.poll(() => lit.allInnerTexts()).toEqual(['13', '88']);
    await window.picture('packet-file-fields');
  });

  it('has flows', async () => {
    await page.getByTestId('packets-view-flows').click();
    const flows = page.getByTestId('packets').locator('table');
    await expect.poll(() => flows.innerText()).toMatch(/UDP[\s\S]*500/i);
    await window.picture('packet-file-flows');
    await page.getByTestId('packets-view-packets').click();
    await page.getByTestId('display-filter').fill('');
  });

  it('is shown up to where it is cut, with the place', async () => {
    const { data, start } = written(7);
    await choose('cut.pcapng', data.subarray(0, start + 20));
    await expect.poll(count).toBe(6);
    const at = start.toLocaleString('en-GB');
    await expect
      .poll(sayings)
      .toEqual([
        `The file ends within the record that begins at byte ${at}, after packet 6: the packets before it are shown.`,
      ]);
    await window.picture('packet-file-cut');
  });

  it('is refused where it is none, with what to do', async () => {
    await choose('notes.txt', Buffer.from('Nothing of this is a packet.'));
    await expect
      .poll(sayings)
      .toEqual([
        'notes.txt is no capture (pcap, pcapng): choose a file that tcpdump, dumpcap or Wireshark has written.',
      ]);
    await choose('empty.pcap', Buffer.alloc(0));
    await expect.poll(async () => (await sayings()).join()).toMatch(/^empty\.pcap is empty: /);
    expect(await rows().count()).toBe(0);
  });

  it('is dropped on the tab, and of more than are kept the last stay', async () => {
    const data = await page.evaluateHandle(
      ([text, repeated, times]) => {
        const decode = (each: string) => Uint8Array.from(atob(each), (one) => one.charCodeAt(0));
        const parts = [decode(text), ...Array.from({ length: times }, () => decode(repeated))];
        const transfer = new DataTransfer();
        transfer.items.add(new File(parts, 'long.pcapng'));
        return transfer;
      },
      [
        written(1000).data.toString('base64'),
        written(1000).data.subarray(written(0).data.length).toString('base64'),
        149,
      ] as const,
    );
    for (const type of ['dragenter', 'dragover', 'drop']) {
      await page.getByTestId('packets').dispatchEvent(type, { dataTransfer: data });
    }
    await expect.poll(count, { timeout: 60_000 }).toBe(150_000);
    await expect
      .poll(sayings)
      .toEqual([
        expect.stringMatching(/^150,000 packets were read; the last 100,000 of them are kept/),
      ]);
    await expect.poll(() => rows().first().innerText()).toMatch(/^50001\s/);
    await window.picture('packet-file-long');
  });

  it('goes when a capture starts', async () => {
    await person.planAndApply();
    await expect.poll(() => person.card('r1').getAttribute('data-presence')).toBe('real');
    await page.getByRole('tab', { name: 'Packets' }).click();
    expect(await page.getByTestId('packet-file-name').innerText()).toBe('long.pcapng');
    await page.getByTestId('capture-start').click();
    await expect.poll(() => page.getByTestId('capture-stop').isVisible()).toBe(true);
    expect(await page.getByTestId('packet-file-name').count()).toBe(0);
    expect(await page.getByTestId('capture-subject').innerText()).toBe('whole lab');
  });

  it('is shown without a complaint', () => {
    expect(window.complaints).toEqual([]);
  });
});
