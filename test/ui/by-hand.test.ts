/**
 * Labs built from an empty canvas with nothing but what a person has, in real Chromium; what the kernel then has is read
 * with iproute2 and nft.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunInRealm } from '../harness/network-state.ts';
import { OwnWindow } from '../harness/own-window.ts';
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

const picture = (name: string): Promise<void> => window.picture(`by-hand-${name}`);
const realmOf = (lab: string): RunInRealm => window.realmOf(lab);
const parse = <T>(text: string): T => JSON.parse(text) as T;

/** Addresses, `ADDRESS/PREFIX`, of an interface in a namespace. */
function addressesOf(run: RunInRealm, namespace: string, name: string): readonly string[] {
  const [link] = parse<{ addr_info: { local: string; prefixlen: number; scope: string }[] }[]>(
    run(['ip', '-n', namespace, '-j', 'address', 'show', name]),
  );
  return (link?.addr_info ?? [])
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

function gatewayOf(run: RunInRealm, namespace: string, to: string): string | undefined {
  const routes = parse<{ dst: string; gateway?: string }[]>(
    run(['ip', '-n', namespace, '-j', 'route', 'show', to]),
  );
  return routes[0]?.gateway;
}

describe('a lab with NAT, by hand', () => {
  it('is drawn: nodes, wires, addresses, routes and the rule', async () => {
    await person.createLab('by-hand-nat');
    await picture('nat-empty');
    await person.zoomOut(2);
    await person.place('namespace', 'h1', 0.12, 0.25);
    await person.place('namespace', 'h2', 0.12, 0.75);
    await person.place('bridge', 'inner', 0.35, 0.5);
    await person.place('router', 'gw', 0.6, 0.5);
    await person.place('namespace', 'server', 0.87, 0.5);
    await person.wire('h1', 'inner');
    await person.wire('h2', 'inner');
    await person.wire('gw', 'inner');
    await person.wire('gw', 'server');
    await picture('nat-wired');
    await person.address('h1', 'eth0', '192.168.1.11/24');
    await person.address('h2', 'eth0', '192.168.1.12/24');
    await person.address('gw', 'eth0', '192.168.1.1/24');
    await person.address('gw', 'eth1', '203.0.113.1/24');
    await person.address('server', 'eth0', '203.0.113.80/24');
    await person.route('h1', 'default via 192.168.1.1');
    await person.route('h2', 'default via 192.168.1.1');
    // What cannot be written does not vanish without a word.
    await person.point(person.port('h1:eth0'));
    await page.getByRole('textbox', { name: 'Address of eth0' }).fill('192.168.1.300/24');
    await person.point(person.card('gw').locator('.card-name'));
    await expect
      .poll(() => page.getByText('“192.168.1.300/24” was not taken').isVisible())
      .toBe(true);
    await expect.poll(() => person.port('h1:eth0').innerText()).toContain('192.168.1.11/24');
    await person.inspector().getByRole('button', { name: 'masquerade', exact: true }).click();
    await expect.poll(() => person.card('gw').innerText()).toContain('NAT');
    await picture('nat-rule');
    await person.check('h1', 'server');
    await person.check('h2', 'server');
    await person.check('server', 'h1', 'does not reach');
    await picture('nat-checks');
  });

  it('is applied, and the kernel has it', async () => {
    await person.planAndApply();
    await person.expectChecks(3, 3);
    await picture('nat-applied');
    const run = realmOf('by-hand-nat');
    expect(addressesOf(run, 'gw', 'eth0')).toEqual(['192.168.1.1/24']);
    expect(addressesOf(run, 'gw', 'eth1')).toEqual(['203.0.113.1/24']);
    expect(gatewayOf(run, 'h1', 'default')).toBe('192.168.1.1');
    const rules = run(['ip', 'netns', 'exec', 'gw', 'nft', 'list', 'ruleset']);
    expect(rules).toMatch(/oifname "eth1".*masquerade/);
  });

  it('shows what the bridge has learned, and who has it', async () => {
    await person.point(person.card('inner').locator('.card-name'));
    await person.inspector().getByRole('tab', { name: /^Live/ }).click();
    const table = page.getByRole('table', { name: 'Learned addresses' });
    await expect.poll(() => table.innerText()).toContain('h1:eth0');
    const text = await table.innerText();
    for (const station of ['h2:eth0', 'gw:eth0']) expect(text).toContain(station);
    const run = realmOf('by-hand-nat');
    const [link] = parse<{ address: string }[]>(
      run(['ip', '-n', 'h1', '-j', 'link', 'show', 'eth0']),
    );
    const row = table.locator(`tr[data-mac="${link?.address ?? ''}"]`);
    expect(await row.innerText()).toMatch(/^v-h1/);
    await picture('nat-learned');
    // Sorted by the keyboard, and told to a screen reader.
    const heading = table.getByRole('columnheader', { name: 'MAC' });
    await heading.getByRole('button').press('Enter');
    expect(await heading.getAttribute('aria-sort')).toBe('ascending');
  });

  it('loses an interface that is taken down in the drawing, flags it, and gets it back', async () => {
    const run = realmOf('by-hand-nat');
    const isUp = (): boolean =>
      parse<{ flags: string[] }[]>(
        run(['ip', '-n', 'server', '-j', 'link', 'show', 'eth0']),
      )[0]?.flags.includes('UP') === true;
    await person.point(person.port('server:eth0'), 'right');
    await page.getByRole('menuitem', { name: 'Take eth0 down' }).click();
    await expect.poll(isUp).toBe(false);
    await expect.poll(() => person.port('server:eth0').innerText()).toMatch(/⚑[\s\S]*down/);
    const chip = page.getByTestId('state-chip').first();
    await expect.poll(() => chip.getAttribute('data-state-name')).toBe('drifted');
    await page.getByRole('tab', { name: /^Checks/ }).click();
    await page.getByRole('button', { name: 'Run checks' }).click();
    await person.expectChecks(1, 3);
    await picture('nat-down');
    // The way back is one step, beside what is told of the interface.
    await person.point(person.port('server:eth0'));
    await person.inspector().getByRole('button', { name: 'Bring eth0 up' }).click();
    await expect.poll(isUp).toBe(true);
    await expect.poll(() => chip.getAttribute('data-state-name')).toBe('up');
    await person.inspector().getByRole('button', { name: 'Flap eth0 for 1 s' }).click();
    await expect.poll(() => person.port('server:eth0').innerText()).toContain('down');
    await expect.poll(isUp).toBe(true);
    await expect.poll(() => person.port('server:eth0').innerText()).not.toContain('down');
    await page.getByRole('button', { name: 'Run checks' }).click();
    await person.expectChecks(3, 3);
    await person
      .inspector()
      .getByRole('tab', { name: /^Wanted/ })
      .click();
  });
});

describe('a tunnel of tuns, by hand', () => {
  it('is drawn', async () => {
    await person.createLab('by-hand-tun');
    await person.zoomOut(1);
    await person.place('router', 'west', 0.15, 0.4);
    await person.place('router', 'transit', 0.5, 0.2);
    await person.place('router', 'east', 0.85, 0.4);
    await person.wire('west', 'transit');
    await person.wire('transit', 'east');
    await person.address('west', 'eth0', '198.51.100.2/24');
    await person.address('transit', 'eth0', '198.51.100.1/24');
    await person.address('transit', 'eth1', '203.0.113.1/24');
    await person.address('east', 'eth0', '203.0.113.2/24');
    await person.route('west', 'default via 198.51.100.1');
    await person.route('east', 'default via 203.0.113.1');
    for (const [node, address] of [
      ['west', '10.40.0.1/30'],
      ['east', '10.40.0.2/30'],
    ] as const) {
      await person.point(person.card(node).locator('.card-name'));
      await page.getByTestId('palette-tun').click();
      await expect.poll(() => person.port(`${node}:tun0`).count()).toBe(1);
      await person.address(node, 'tun0', address);
    }
    await picture('tun-devices');
    // The other end of the tunnel, by name.
    await person
      .inspector()
      .getByRole('combobox', { name: 'Joined over UDP with' })
      .selectOption('west:tun0');
    await picture('tun-joined');
    await person.check('west', 'east:tun0');
    await person.check('east', 'west:tun0');
    await person.check('transit', 'east:tun0', 'does not reach');
  });

  it('is applied, and packets cross it', async () => {
    await person.planAndApply();
    await person.expectChecks(3, 3);
    await picture('tun-applied');
    const run = realmOf('by-hand-tun');
    for (const [node, address] of [
      ['west', '10.40.0.1/30'],
      ['east', '10.40.0.2/30'],
    ] as const) {
      expect(addressesOf(run, node, 'tun0')).toEqual([address]);
      const [link] = parse<{ linkinfo: { info_kind: string; info_data: { type: string } } }[]>(
        run(['ip', '-n', node, '-j', '-d', 'link', 'show', 'tun0']),
      );
      expect(link?.linkinfo).toMatchObject({ info_kind: 'tun', info_data: { type: 'tun' } });
    }
  });

  it('says in the palette what this kernel has not, and does not add it', async () => {
    await person.point(person.card('west').locator('.card-name'));
    const kinds = ['vlan', 'bond', 'dummy', 'vxlan', 'tap', 'vrf'] as const;
    const run = realmOf('by-hand-tun');
    for (const kind of kinds) {
      const lacking = await page.getByTestId(`palette-${kind}`).evaluate((element) => ({
        struck: element.classList.contains('lacking'),
        why: element.getAttribute('aria-description') ?? '',
      }));
      let missing = false;
      if (kind === 'bond' || kind === 'dummy') {
        try {
          run(['ip', '-n', 'west', 'link', 'add', 'probe9', 'type', kind]);
          run(['ip', '-n', 'west', 'link', 'delete', 'probe9']);
        } catch {
          missing = true;
        }
        expect([kind, lacking.struck]).toEqual([kind, missing]);
      }
      if (lacking.struck) expect(lacking.why).toContain('kernel has no');
    }
  });
});

it('has nothing to complain of in the browser’s console', () => {
  expect(window.complaints).toEqual([]);
});
