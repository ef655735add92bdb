/**
 * The last line of the notes in real Chromium: a NIC that carries the only default route goes onto the bridge. Left
 * unconfirmed it comes back by itself; confirmed it stays. The NIC is a stand-in: one end of a veth pair, made by hand
 * in the lab's sandbox.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  centreOf,
  type Home,
  keeperOf,
  launchChromium,
  lookInto,
  makeHome,
  openWindow,
  removeHome,
  type Started,
  startNetloom,
  takePicture,
} from '../harness/window.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

const pictures = process.env['NETLOOM_PICTURES'];
const nicByHand = [
  'ip netns add outside',
  'ip link add enp1s0 type veth peer name eth0 netns outside',
  'ip -n outside addr add 192.168.0.1/24 dev eth0',
  'ip -n outside link set eth0 up',
  'ip addr add 192.168.0.97/24 dev enp1s0',
  'ip link set enp1s0 up',
  'ip route add default via 192.168.0.1 dev enp1s0',
];

let browser: Browser;
let home: Home;
let started: Started;
let page: Page;
let complaints: readonly string[];

beforeAll(async () => {
  home = makeHome();
  browser = await launchChromium();
  started = await startNetloom(home);
  ({ page, complaints } = await openWindow(browser, started.url));
});

afterAll(async () => {
  await browser.close();
  await started.stop();
  removeHome(home);
});

const inRealm = (command: readonly string[]): string =>
  lookInto(keeperOf(home, 'sandbox:two-namespaces'))(command);
const network = (): NetworkState =>
  readNetworkState(lookInto(keeperOf(home, 'sandbox:two-namespaces')));
/**
 * What differs from then. That the MAC of the lab's own bridge was set once stays: the kernel knows no way back to one
 * that follows its ports, and it has the value that it had.
 */
const differences = (then: NetworkState): readonly string[] =>
  networkDifferences(then, network()).filter((line) => !line.startsWith('//links/br-ex/mac:'));
const picture = async (name: string): Promise<void> => {
  if (pictures !== undefined) await takePicture(page, pictures, name);
};
/** Addresses of an interface of the realm's own namespace, as `ip` says them. */
function addressesOf(name: string): readonly string[] {
  const [link] = JSON.parse(inRealm(['ip', '-j', '-4', 'addr', 'show', 'dev', name])) as {
    readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[];
  }[];
  return (link?.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${String(prefixlen)}`);
}
function defaultRoutes(): readonly string[] {
  const routes = JSON.parse(inRealm(['ip', '-j', 'route', 'show', 'default'])) as {
    readonly gateway: string;
    readonly dev: string;
  }[];
  return routes.map(({ gateway, dev }) => `${gateway} ${dev}`);
}
const banner = () => page.getByTestId('banner-deadline');
const button = (name: string) => page.getByRole('button', { name, exact: true });
const planAndApply = async (seconds: string): Promise<void> => {
  await page.keyboard.press('Control+Enter');
  await expect.poll(() => page.getByTestId('plan-confirm').isVisible()).toBe(true);
  await page.getByLabel('Time to keep it:').selectOption(seconds);
  await picture(`uplink-plan-${seconds}`);
  await page.getByTestId('plan-apply').click();
  await expect.poll(() => banner().isVisible()).toBe(true);
};

describe('a NIC put on a bridge', () => {
  let before: NetworkState;

  it('is offered where it exists', async () => {
    await page
      .getByTestId('gallery-two-namespaces')
      .getByRole('button', { name: /^Bring up/ })
      .click();
    const card = page.locator('.canvas-layer .card[data-node="br-ex"]');
    await expect.poll(() => card.getAttribute('data-presence'), { timeout: 30_000 }).toBe('real');
    inRealm(['sh', '-ec', nicByHand.join('\n')]);
    before = network();
    await picture('uplink-before');
    const { x, y } = await centreOf(card);
    await page.mouse.click(x, y);
    await page
      .getByRole('button', { name: /^More settings/ })
      .first()
      .click();
    const field = page.getByLabel('Uplink (NIC)');
    await expect
      .poll(() =>
        page
          .locator('datalist option')
          .evaluateAll((all) => all.map((each) => each.getAttribute('value'))),
      )
      .toContain('enp1s0');
    await field.fill('enp1s0');
    await field.press('Enter');
  });

  it('says in the plan what is at stake and moves it as the notes do', async () => {
    await planAndApply('15');
    expect(addressesOf('br-ex')).toEqual(['192.168.0.97/24']);
    expect(addressesOf('enp1s0')).toEqual([]);
    expect(defaultRoutes()).toEqual(['192.168.0.1 br-ex']);
    await picture('uplink-awaiting');
    inRealm(['ip', 'netns', 'exec', 'outside', 'ping', '-c', '1', '-W', '2', '192.168.0.97']);
  });

  it('comes back by itself when nobody keeps it', async () => {
    await expect.poll(() => banner().isVisible(), { timeout: 30_000 }).toBe(false);
    await expect.poll(() => differences(before)).toEqual([]);
    expect(addressesOf('enp1s0')).toEqual(['192.168.0.97/24']);
    expect(defaultRoutes()).toEqual(['192.168.0.1 enp1s0']);
    await expect
      .poll(() => page.getByText('Nobody kept the change in time').first().isVisible())
      .toBe(true);
    await picture('uplink-returned');
  });

  it('stays when it is kept, and goes back with the lab', async () => {
    await planAndApply('60');
    await button('Keep').click();
    await expect.poll(() => banner().isVisible()).toBe(false);
    await expect.poll(() => page.getByTestId('plan-state').innerText()).toMatch(/in force/i);
    expect(addressesOf('br-ex')).toEqual(['192.168.0.97/24']);
    await picture('uplink-kept');
    await page.keyboard.press('Control+Enter');
    await expect.poll(() => page.getByText('Nothing to do').first().isVisible()).toBe(true);
  });

  it('complained of nothing', () => {
    expect(complaints).toEqual([]);
  });
});
