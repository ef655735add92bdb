/**
 * A router on a stick, built by hand in a window on this machine in front of Netloom in the guest, whose kernel has VLANs
 * and netem; then a delay on a wire, which the checks on the screen show.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GuestUnavailable, prepareGuest } from '../harness/guest.mjs';
import { GuestWindow } from '../harness/guest-window.ts';
import { Person } from '../harness/person.ts';
import { launchChromium, openWindow, takePicture } from '../harness/window.ts';

const lab = 'by-hand-stick';
const pictures = process.env['NETLOOM_PICTURES'];
/** Emulated processors are slow. */
const patience = { timeout: 240_000 };

let missing: string | null = null;
try {
  prepareGuest('emulated');
} catch (error) {
  if (!(error instanceof GuestUnavailable)) throw error;
  missing = error.message;
  process.stderr.write(`The window in the guest is skipped: ${missing}\n`);
}

describe.skipIf(missing !== null)('a router on a stick, by hand', () => {
  let browser: Browser | undefined;
  let guest: GuestWindow;
  let page: Page;
  let person: Person;
  let complaints: readonly string[];

  beforeAll(async () => {
    guest = await GuestWindow.open();
    browser = await launchChromium();
    ({ page, complaints } = await openWindow(browser, guest.url));
    page.setDefaultTimeout(180_000);
    person = new Person(page);
  }, 600_000);

  afterAll(async () => {
    // Without a browser there may be no guest either, and its failure is told already.
    if (browser === undefined) return;
    await browser.close();
    await guest.close();
  }, 120_000);

  async function picture(name: string): Promise<void> {
    if (pictures !== undefined) await takePicture(page, pictures, `by-hand-stick-${name}`);
  }

  const roundTrip = async (): Promise<number> => {
    const text = await page.getByTestId('check').first().innerText();
    return Number(
      /(?<number>[\d.,]+) ms/.exec(text)?.groups?.['number']?.replace(',', '') ?? 'NaN',
    );
  };

  it('is drawn', { timeout: 600_000 }, async () => {
    await person.createLab(lab);
    await person.zoomOut(1);
    await person.place('namespace', 'h10', 0.15, 0.25);
    await person.place('namespace', 'h20', 0.15, 0.75);
    await person.place('bridge', 'sw', 0.5, 0.5);
    await person.place('router', 'gw', 0.83, 0.5);
    await person.wire('h10', 'sw');
    await person.wire('h20', 'sw');
    await person.wire('gw', 'sw');
    await person.address('h10', 'eth0', '10.0.10.2/24');
    await person.address('h20', 'eth0', '10.0.20.2/24');
    await person.route('h10', 'default via 10.0.10.1');
    await person.route('h20', 'default via 10.0.20.1');
    await person.point(person.card('sw').locator('.card-name'));
    const filtering = person.inspector().getByRole('checkbox', { name: 'VLAN filtering' });
    if (!(await filtering.isVisible())) await person.button('More settings').first().click();
    await filtering.check();
    for (const [port, label, value] of [
      ['sw:v-h10', 'Access VLAN', '10'],
      ['sw:v-h20', 'Access VLAN', '20'],
      ['sw:v-gw', 'Trunk VLANs', '10,20'],
    ] as const) {
      await person.point(person.port(port));
      await person.fill(label, value);
      await expect.poll(() => person.port(port).innerText()).toContain(value);
    }
    for (const id of ['10', '20']) {
      await person.point(person.port('gw:eth0'));
      await page.getByTestId('palette-vlan').click();
      const field = person.inspector().getByRole('textbox', { name: 'VLAN', exact: true });
      await expect.poll(() => field.isVisible()).toBe(true);
      await field.fill(id);
      await field.press('Enter');
      await person.button(/^Add address to eth0\./).click();
      const address = page.getByRole('textbox', { name: /^New address of eth0\./ });
      await address.fill(`10.0.${id}.1/24`);
      await address.press('Enter');
      await expect.poll(() => person.card('gw').innerText()).toContain(`10.0.${id}.1/24`);
    }
    await picture('drawn');
    await person.check('h10', 'h20');
    await person.check('h20', 'gw');
  });

  it('is applied, and the kernel has it', { timeout: 600_000 }, async () => {
    await person.planAndApply();
    await person.expectChecks(2, 2);
    await picture('applied');
    const links = JSON.parse(
      await guest.inRealm(`sandbox:${lab}`, 'ip -n gw -j -d link show type vlan'),
    ) as { link: string; linkinfo: { info_data: { id: number } } }[];
    expect(links.map(({ link, linkinfo }) => [link, linkinfo.info_data.id])).toEqual([
      ['eth0', 10],
      ['eth0', 20],
    ]);
    const vlans = JSON.parse(
      await guest.inRealm(`sandbox:${lab}`, 'bridge -j vlan show dev v-gw'),
    ) as { vlans: { vlan: number }[] }[];
    expect(vlans[0]?.vlans.map(({ vlan }) => vlan)).toEqual([10, 20]);
    // Each station behind its port, in its VLAN.
    await person.point(person.card('sw').locator('.card-name'));
    await person.inspector().getByRole('tab', { name: /^Live/ }).click();
    const table = page.getByRole('table', { name: 'Learned addresses' });
    const row = table.locator('tr').filter({ hasText: 'h20:eth0' });
    await expect.poll(() => row.first().innerText(), patience).toMatch(/^v-h20[\s\S]*\b20\b/);
    await picture('learned');
    await person
      .inspector()
      .getByRole('tab', { name: /^Wanted/ })
      .click();
  });

  it('is delayed on a wire, and the checks show it', { timeout: 600_000 }, async () => {
    await page.getByRole('tab', { name: /^Checks/ }).click();
    const before = await roundTrip();
    await person.point(person.port('h10:eth0'));
    await person.inspector().getByRole('button', { name: 'Impair this direction' }).click();
    await person.fill('Delay (ms)', '700');
    await person.planAndApply();
    await page.getByRole('tab', { name: /^Checks/ }).click();
    await expect.poll(roundTrip, patience).toBeGreaterThan(690);
    expect(before).toBeLessThan(690);
    const queueing = await guest.inRealm(`sandbox:${lab}`, 'tc -n h10 -j qdisc show dev eth0');
    expect(queueing).toContain('"kind":"netem"');
    await picture('delayed');
    expect(complaints).toEqual([]);
  });
});
