/**
 * Open vSwitch built from an empty canvas with nothing but what a person has, in real Chromium: access ports and trunks
 * over patch ports, its flows and a traced packet, a bond that loses a member. What it came to is read with ovs-vsctl.
 */
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunInRealm } from '../harness/network-state.ts';
import { OwnWindow } from '../harness/own-window.ts';
import type { Person } from '../harness/person.ts';
import { centreOf } from '../harness/window.ts';

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

const picture = (name: string): Promise<void> => window.picture(`ovs-${name}`);
const realmOf = (lab: string): RunInRealm => window.realmOf(lab);

/** The sockets of the databases that run in a realm. */
function databasesOf(run: RunInRealm): readonly string[] {
  return run(['find', '/run/netloom', '-name', 'db.sock']).split('\n').filter(Boolean);
}

/** A column of a record, as the one database of the realm has it. */
function column(run: RunInRealm, table: string, record: string, name: string): string {
  const [database = ''] = databasesOf(run);
  return run(['ovs-vsctl', `--db=unix:${database}`, '--bare', 'get', table, record, name]).trim();
}

/** The address that a host's interface has, as the kernel says. */
function macIn(run: RunInRealm, host: string): string {
  return run(['ip', 'netns', 'exec', host, 'cat', '/sys/class/net/eth0/address']).trim();
}

/** A capture file (pcap) with one frame of Ethernet. */
function captureOf(hex: string): Buffer {
  const frame = Buffer.from(hex, 'hex');
  const words = [0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1, 0, 0, frame.length, frame.length];
  return Buffer.concat([Buffer.from(new Uint32Array(words).buffer), frame]);
}

const title = (node: string): Locator => person.card(node).locator('.card-name');

/** What a port does with VLANs, chosen in the inspector. */
async function vlans(port: string, mode: string, fields: Readonly<Record<string, string>>) {
  await person.point(person.port(port));
  await person.inspector().getByRole('tab', { name: 'Wanted', exact: true }).click();
  await person
    .inspector()
    .getByRole('combobox', { name: 'VLANs', exact: true })
    .selectOption({ label: mode });
  for (const [label, text] of Object.entries(fields)) await person.fill(label, text);
}
const access = 'access: one VLAN, without a tag';
const trunk = 'trunk: some VLANs, with a tag';

/** Draws a wire between two bridges of one namespace and says what it is. */
async function join(from: string, to: string, by: 'Patch ports' | 'veth pair'): Promise<void> {
  await person.wire(from, to);
  await page.getByRole('menuitem', { name: by, exact: true }).click();
}

describe('access ports and a trunk, by hand', () => {
  it('are drawn: two bridges, patch ports, hosts and their VLANs', async () => {
    await person.createLab('by-hand-vlans');
    await person.zoomOut(2);
    await person.place('ovs-bridge', 'sw1', 0.35, 0.5);
    await person.place('ovs-bridge', 'sw2', 0.68, 0.5);
    await person.place('namespace', 'h1', 0.12, 0.2);
    await person.place('namespace', 'h2', 0.12, 0.8);
    await person.place('namespace', 'h3', 0.88, 0.2);
    await person.place('namespace', 'h4', 0.88, 0.8);
    await join('sw1', 'sw2', 'Patch ports');
    await person.wire('h1', 'sw1');
    await person.wire('h2', 'sw1');
    await person.wire('h3', 'sw2');
    await person.wire('h4', 'sw2');
    await person.address('h1', 'eth0', '10.0.0.1/24');
    await person.address('h2', 'eth0', '10.0.0.2/24');
    await person.address('h3', 'eth0', '10.0.0.3/24');
    await person.address('h4', 'eth0', '10.0.0.4/24');
    for (const [port, vlan] of [
      ['sw1:v-h1', '10'],
      ['sw1:v-h2', '20'],
      ['sw2:v-h3', '10'],
      ['sw2:v-h4', '20'],
    ] as const) {
      await vlans(port, access, { 'Access VLAN': vlan });
      await expect.poll(() => person.port(port).locator('.vlan').allInnerTexts()).toEqual([vlan]);
    }
    for (const port of ['sw1:p-sw2', 'sw2:p-sw1']) {
      await vlans(port, trunk, { 'Trunk VLANs': '10,20' });
      await expect
        .poll(() => person.port(port).locator('.vlan').allInnerTexts())
        .toEqual(['10,20']);
    }
    expect(await person.card('sw1').innerText()).toContain('OVS');
    await picture('vlans-drawn');
    await person.check('h1', 'h3');
    await person.check('h2', 'h4');
    await person.check('h1', 'h4', 'does not reach');
  });

  it('are applied, and Open vSwitch has them', async () => {
    await person.planAndApply();
    await person.expectChecks(3, 3);
    await picture('vlans-applied');
    const run = realmOf('by-hand-vlans');
    expect(column(run, 'port', 'v-h1', 'tag')).toBe('10');
    expect(column(run, 'port', 'v-h4', 'tag')).toBe('20');
    expect(column(run, 'port', 'p-sw2', 'trunks')).toMatch(/10.*20/);
    expect(column(run, 'interface', 'p-sw2', 'options')).toContain('peer=p-sw1');
    expect(await person.card('sw1').getAttribute('data-presence')).toBe('real');
    expect(await person.port('sw1:p-sw2').getAttribute('data-presence')).toBe('real');
  });

  it('show their OpenFlow numbers and the parts of Open vSwitch', async () => {
    await person.point(title('sw1'));
    await person.inspector().getByRole('tab', { name: /^Live/ }).click();
    const ports = person.inspector().getByRole('table', { name: 'Ports' });
    const run = realmOf('by-hand-vlans');
    const number = column(run, 'interface', 'v-h1', 'ofport');
    await expect
      .poll(() => ports.locator('tr[data-ovs-port="v-h1"]').innerText())
      .toContain(number);
    const parts = page.getByTestId('engine-parts');
    await expect.poll(() => parts.innerText()).toMatch(/ovs-vswitchd[\s\S]*runs/);
    expect(await parts.innerText()).toMatch(/ovsdb-server[\s\S]*runs/);
    await picture('vlans-live');
  });

  it('show a flow whose counter rises with a ping', async () => {
    await page.getByTestId('drawer-openflow').click();
    const flows = page.getByRole('table', { name: 'Flows' });
    const row = flows.locator('tbody tr').first();
    await expect.poll(() => row.innerText()).toContain('NORMAL');
    const run = realmOf('by-hand-vlans');
    await expect
      .poll(
        async () => {
          run(['ip', 'netns', 'exec', 'h1', 'ping', '-c', '2', '-i', '0.2', '10.0.0.3']);
          return row.getAttribute('data-change');
        },
        { timeout: 20_000 },
      )
      .toBe('busy');
    await picture('flows');
    // Sorted by the keyboard, and told to a screen reader.
    const heading = flows.getByRole('columnheader', { name: 'Packets' });
    await heading.getByRole('button').press('Enter');
    expect(await heading.getAttribute('aria-sort')).toBe('descending');
  });

  it('show the way of a packet across both bridges, drawn and as a list', async () => {
    const panel = page.getByTestId('openflow');
    await panel.getByRole('button', { name: 'Trace', exact: true }).click();
    await panel.getByLabel('In by port').selectOption('v-h1');
    await panel.getByLabel('Destination address').fill('10.0.0.3');
    await panel.getByRole('button', { name: 'Trace', exact: true }).last().click();
    const list = page.getByTestId('trace');
    await expect.poll(() => list.innerText(), { timeout: 20_000 }).toContain('sw2');
    expect(await list.innerText()).toContain('NORMAL');
    expect(await person.card('sw1').getAttribute('class')).toContain('traced');
    expect(await person.card('sw2').getAttribute('class')).toContain('traced');
    expect(await person.port('sw2:v-h3').getAttribute('class')).toContain('traced');
    // VLAN 20 is not where it goes.
    expect(await person.port('sw2:v-h4').getAttribute('class')).not.toContain('traced');
    // The host asks by ARP for whom it sends to, and so does who fills in the form.
    const run = realmOf('by-hand-vlans');
    expect(await panel.getByLabel('Destination MAC').inputValue()).toBe(macIn(run, 'h3'));
    await picture('trace');
    // What is no more as it was traced is not lit.
    await person.point(person.port('sw2:v-h3'), 'right');
    await page.getByRole('menuitem', { name: 'Take v-h3 down' }).click();
    await expect.poll(() => list.innerText()).toContain('changed since');
    expect(await page.locator('.card.traced').count()).toBe(0);
    await picture('trace-stale');
    await person.point(person.port('sw2:v-h3'), 'right');
    await page.getByRole('menuitem', { name: 'Bring v-h3 up' }).click();
    await expect.poll(() => person.port('sw2:v-h3').locator('.port-down').count()).toBe(0);
    await person.point(title('sw1'));
    await panel.getByRole('button', { name: 'Clear the trace' }).click();
    await expect.poll(() => page.locator('.card.traced').count()).toBe(0);
  });

  it('show the way of a frame that was captured', async () => {
    const run = realmOf('by-hand-vlans');
    const from = macIn(run, 'h1').replaceAll(':', '');
    const to = macIn(run, 'h3').replaceAll(':', '');
    const panel = page.getByTestId('openflow');
    await panel.getByRole('button', { name: 'Captured frame' }).click();
    await panel.getByLabel('In by port').selectOption('v-h1');
    const hex = panel.getByLabel('Ethernet frame in hexadecimal');
    await hex.fill('02 00 zz');
    const ask = panel.getByRole('button', { name: 'Trace', exact: true }).last();
    await ask.click();
    await expect.poll(() => panel.getByRole('alert').innerText()).toContain('hexadecimal');
    // A SYN to port 80, as xxd prints it: nothing but the frame says so.
    const syn =
      `${to}${from}0800` +
      '4500002800010000400600000a0000010a000003' +
      '9c40005000000001000000005002ffff00000000';
    const lines = (syn.match(/.{1,32}/g) ?? []).map((line, at) => {
      const offset = (at * 16).toString(16).padStart(8, '0');
      return `${offset}: ${(line.match(/.{1,4}/g) ?? []).join(' ')}`;
    });
    await hex.fill(lines.join('\n'));
    await ask.click();
    const list = page.getByTestId('trace');
    await expect.poll(() => list.innerText(), { timeout: 20_000 }).toMatch(/tp_dst=80[\s\S]*sw2/);
    expect(await person.port('sw2:v-h3').getAttribute('class')).toContain('traced');
    await picture('trace-frame');

    // The same from a capture file.
    await panel.getByTestId('capture-file').setInputFiles({
      name: 'syn.pcap',
      mimeType: 'application/vnd.tcpdump.pcap',
      buffer: captureOf(syn),
    });
    await expect
      .poll(() => panel.getByLabel('Packets of syn.pcap').locator('option').allInnerTexts())
      .toEqual(['1 · 10.0.0.1:40000 → 10.0.0.3:80 TCP']);
    expect(await hex.inputValue()).toBe(syn);
    await panel.getByRole('button', { name: 'Clear the trace' }).click();
  });

  it('show what a bridge has learned, and how Open vSwitch fares', async () => {
    const run = realmOf('by-hand-vlans');
    await person.point(title('sw1'));
    await person.inspector().getByRole('tab', { name: /^Live/ }).click();
    const learned = person.inspector().getByRole('table', { name: 'Learned addresses' });
    const row = learned.locator(`tr[data-mac="${macIn(run, 'h1')}"]`);
    await expect
      .poll(
        async () => {
          run(['ip', 'netns', 'exec', 'h1', 'ping', '-c', '1', '10.0.0.3']);
          return (await row.count()) === 0 ? '' : row.innerText();
        },
        { timeout: 20_000 },
      )
      .toMatch(/^v-h1\s[\s\S]*h1:eth0[\s\S]*\b10\b/);
    const figures = page.getByTestId('engine-figures');
    await expect
      .poll(() => figures.innerText())
      .toMatch(/Cache hits\s+[1-9][\s\S]*Upcalls\s+[1-9]/);
    await figures.locator('summary').click();
    const counters = figures.getByRole('table', { name: 'Counters of ovs-vswitchd' });
    expect(await counters.innerText()).toMatch(/flow_extract|dpif_/);
    await picture('figures');
  });
});

describe('flow export to a collector, by hand', () => {
  it('is drawn: a bridge that exports, and a node that collects', async () => {
    await person.createLab('by-hand-export');
    await person.zoomOut(2);
    await person.place('ovs-bridge', 'sw1', 0.5, 0.5);
    await person.place('namespace', 'h0', 0.15, 0.2);
    // There is no console in what is only drawn: a double click is for its name.
    const { x, y } = await centreOf(title('h0'));
    await page.mouse.dblclick(x, y);
    await page.keyboard.type('h1');
    await page.keyboard.press('Enter');
    await expect.poll(() => title('h1').count()).toBe(1);
    expect(await page.getByTestId('notice').count()).toBe(0);
    await person.place('namespace', 'col', 0.85, 0.2);
    await person.wire('h1', 'sw1');
    await person.wire('col', 'sw1');
    await person.address('h1', 'eth0', '10.0.0.1/24');
    await person.address('col', 'eth0', '10.0.0.9/24');
    await person.point(title('col'));
    await person.inspector().getByLabel('Collects flow export').check();
    await person.point(title('sw1'));
    await person.button('Add address to sw1').click();
    await person.fill('New address of sw1', '10.0.0.254/24');
    await person.inspector().getByRole('button', { name: 'Write flows' }).click();
    // Not as Open vSwitch would print it.
    const flows = person.inspector().getByRole('textbox', { name: /^Flows/ });
    await flows.fill('priority=7,actions=normal');
    await flows.blur();
    await person.inspector().getByRole('button', { name: 'NetFlow', exact: true }).click();
    // It goes to the collector of the lab by itself.
    const targets = person.inspector().getByRole('textbox', { name: 'Collectors', exact: true });
    await expect.poll(() => targets.inputValue()).toBe('10.0.0.9:2055');
    await person.fill('Told of after (s)', '1');
    await page.getByRole('tab', { name: /^Checks/ }).click();
    const checks = page.getByTestId('checks');
    await checks.getByRole('button', { name: 'Add check' }).click();
    await checks.getByRole('combobox', { name: 'Kind of check' }).selectOption('records');
    await checks.getByRole('textbox', { name: 'Of a flow from' }).fill('10.0.0.1');
    await checks.getByRole('button', { name: 'Save' }).click();
    await expect
      .poll(() => page.getByTestId('check').innerText())
      .toMatch(/col\s+receives\s+NetFlow \(10\.0\.0\.1 → \*\)/);
  });

  it('shows the records as they come', async () => {
    await person.planAndApply();
    await page.getByTestId('drawer-records').click();
    const records = page.getByTestId('records');
    const run = realmOf('by-hand-export');
    const rows = records
      .getByTestId('record')
      .filter({ hasText: /10\.0\.0\.1 h1[\s\S]*10\.0\.0\.9 col[\s\S]*ICMP/ });
    await expect
      .poll(
        () => {
          run(['ip', 'netns', 'exec', 'h1', 'ping', '-c', '1', '10.0.0.9']);
          return rows.count();
        },
        { timeout: 60_000, interval: 1000 },
      )
      .toBeGreaterThan(0);
    await records.getByRole('searchbox').fill('10.9.9.9');
    await expect.poll(() => records.innerText()).toContain('No record matches the filter.');
    await records.getByRole('searchbox').fill('netflow icmp 10.0.0.1');
    await expect.poll(() => rows.count()).toBeGreaterThan(0);
    await rows.first().click();
    await picture('records');
    await page.getByRole('tab', { name: /^Checks/ }).click();
    await page.getByRole('button', { name: 'Run checks' }).click();
    await person.expectChecks(1, 1);
  });
});

describe('a bond of Open vSwitch, by hand', () => {
  it('is drawn: two wires, and a bond of them at both ends', async () => {
    await person.createLab('by-hand-bond');
    await person.zoomOut(2);
    await person.place('ovs-bridge', 'sw1', 0.3, 0.5);
    await person.place('ovs-bridge', 'sw2', 0.7, 0.5);
    await person.place('namespace', 'h1', 0.12, 0.2);
    await person.place('namespace', 'h2', 0.88, 0.2);
    await join('sw1', 'sw2', 'veth pair');
    await join('sw1', 'sw2', 'veth pair');
    for (const node of ['sw1', 'sw2']) {
      await person.point(title(node));
      await person.inspector().getByRole('tab', { name: 'Wanted', exact: true }).click();
      await person.inspector().getByRole('button', { name: 'Add Bond' }).click();
      await expect.poll(() => person.card(node).locator('.bracket').count()).toBe(1);
    }
    await person.wire('h1', 'sw1');
    await person.wire('h2', 'sw2');
    await person.address('h1', 'eth0', '10.0.0.1/24');
    await person.address('h2', 'eth0', '10.0.0.2/24');
    await person.check('h1', 'h2');
    await picture('bond-drawn');
  });

  it('goes on over the other member when one fails', async () => {
    await person.planAndApply();
    await person.expectChecks(1, 1);
    const members = person.card('sw1').locator('.port:has(.port-chip.active)');
    await expect.poll(() => members.count()).toBe(1);
    const failing = (await members.getAttribute('data-port')) ?? '';
    const name = failing.split(':')[1] ?? '';
    await picture('bond-whole');
    await person.point(person.port(failing), 'right');
    await page.getByRole('menuitem', { name: `Take ${name} down` }).click();
    await expect
      .poll(() => members.getAttribute('data-port'), { timeout: 20_000 })
      .not.toBe(failing);
    const run = realmOf('by-hand-bond');
    run(['ip', 'netns', 'exec', 'h1', 'ping', '-c', '1', '-W', '5', '10.0.0.2']);
    await picture('bond-failed');
  });
});

describe('a NIC of the machine as a port, by hand', () => {
  const lab = 'by-hand-nic';
  const nicByHand = [
    'ip netns add outside',
    'ip link add enp1s0 type veth peer name eth0 netns outside',
    'ip -n outside addr add 10.0.0.9/24 dev eth0',
    'ip -n outside link set eth0 up',
    'ip link set enp1s0 up',
    'ip link add enp2s0 type veth peer name eth1 netns outside',
    'ip addr add 192.168.7.1/24 dev enp2s0',
  ];

  it('is offered where the machine has one, and told why another will not do', async () => {
    await person.createLab(lab);
    await person.zoomOut(2);
    await person.place('ovs-bridge', 'sw1', 0.6, 0.5);
    await person.place('namespace', 'h1', 0.2, 0.3);
    await person.wire('h1', 'sw1');
    await person.address('h1', 'eth0', '10.0.0.1/24');
    await person.planAndApply();
    const run = realmOf(lab);
    for (const line of nicByHand) run(line.split(' '));
    await person.point(title('sw1'));
    await person.inspector().getByRole('tab', { name: 'Wanted', exact: true }).click();
    await expect
      .poll(() => page.locator('.canvas-layer .card[data-presence="foreign"]').count())
      .toBeGreaterThan(0);
    await person.inspector().getByRole('button', { name: 'Add NIC' }).click();
    // The one that has no address.
    await expect.poll(() => person.port('sw1:enp1s0').count()).toBe(1);
    expect(await person.port('sw1:enp1s0').getAttribute('data-presence')).toBe('wanted');
    // It is drawn where it is to be, and no more by itself.
    expect(await page.locator('.canvas-layer .port').filter({ hasText: 'enp1s0' }).count()).toBe(1);
    const choice = person
      .inspector()
      .getByRole('combobox', { name: 'Interface of the machine', exact: true });
    expect(await choice.locator('option').allInnerTexts()).toEqual(['enp1s0', 'enp2s0']);
    expect(await person.inspector().getByLabel('MTU').count()).toBe(0);
    await choice.selectOption('enp2s0');
    await expect.poll(() => person.port('sw1:enp2s0').count()).toBe(1);
    await person.action('Plan').click();
    await expect
      .poll(() => page.getByTestId('plan').innerText())
      .toContain('enp2s0 has addresses, which nobody could reach any more: 192.168.7.1/24');
    await picture('nic-refused');
    await choice.selectOption('enp1s0');
    await expect.poll(() => person.port('sw1:enp1s0').count()).toBe(1);
  });

  it('becomes the port, with a VLAN, and joins what is outside', async () => {
    await vlans('sw1:enp1s0', access, { 'Access VLAN': '10' });
    await vlans('sw1:v-h1', access, { 'Access VLAN': '10' });
    await picture('nic-wanted');
    await person.planAndApply();
    const run = realmOf(lab);
    expect(column(run, 'port', 'enp1s0', 'tag')).toBe('10');
    await expect.poll(() => person.port('sw1:enp1s0').getAttribute('data-presence')).toBe('real');
    run(['ip', 'netns', 'exec', 'h1', 'ping', '-c', '1', '-W', '5', '10.0.0.9']);
    await picture('nic-real');
  });

  it('goes back as it was', async () => {
    await person.point(person.port('sw1:enp1s0'), 'right');
    // Its state is its own.
    expect(await page.getByRole('menuitem', { name: /^Take enp1s0 down/ }).count()).toBe(0);
    await page.getByRole('menuitem', { name: /^Remove/ }).click();
    await person.planAndApply();
    const run = realmOf(lab);
    expect(run(['ip', '-br', 'link', 'show', 'enp1s0'])).toContain('UP');
    const [database = ''] = databasesOf(run);
    expect(run(['ovs-vsctl', `--db=unix:${database}`, 'list-ports', 'sw1']).trim()).toBe('v-h1');
  });
});

describe('the window', () => {
  it('has not complained', () => {
    expect(window.complaints).toEqual([]);
  });
});
