/**
 * The main job, as a person does it, in real Chromium; after every step the kernel's own state is compared with what
 * hand-written commands make in a network that Netloom has no part in.
 */
import { readlinkSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBareNetwork } from '../harness/lab-bare-network.ts';
import { labScripts, realmScript } from '../harness/lab-expectations.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';
import {
  centreOf,
  galleryNames,
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

const realm = 'sandbox:two-namespaces';
const pictures = process.env['NETLOOM_PICTURES'];

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

async function picture(name: string): Promise<void> {
  if (pictures === undefined) return;
  await takePicture(page, pictures, name);
}

/** What these commands make in an empty network. */
async function networkMadeBy(script: string): Promise<NetworkState> {
  const network = await makeBareNetwork();
  try {
    network.script(realmScript + script);
    return readNetworkState(network.inside);
  } finally {
    network.end();
  }
}

/** The kernel's state, once it is as expected; the last differences when it never is. */
async function expectNetwork(script: string): Promise<void> {
  const expected = await networkMadeBy(script);
  await expect
    .poll(() => networkDifferences(expected, readNetworkState(lookInto(keeperOf(home, realm)))), {
      timeout: 15_000,
      interval: 300,
    })
    .toEqual([]);
}

const labBar = () => page.getByRole('toolbar', { name: 'Lab', exact: true });
const action = (name: string) => labBar().getByRole('button', { name, exact: true });
const button = (name: string) => page.getByRole('button', { name, exact: true });
const card = (node: string) => page.locator(`.canvas-layer .card[data-node="${node}"]`);
const port = (id: string) => page.locator(`.canvas-layer .port[data-port="${id}"]`);
const planState = () => page.getByTestId('plan-state');
async function clickCanvas(target: ReturnType<typeof card>): Promise<void> {
  const { x, y } = await centreOf(target);
  await page.mouse.click(x, y);
}

async function plan(): Promise<void> {
  await page.keyboard.press('Control+Enter');
  await expect.poll(() => page.getByTestId('plan').isVisible()).toBe(true);
}

async function apply(): Promise<void> {
  await action('Apply').click();
  await expect.poll(() => planState().innerText()).toMatch(/in force|nothing/i);
}

const twoNamespaces = labScripts['two-namespaces.yaml'] ?? '';
const changedAddress = twoNamespaces.replace('172.16.0.2/24', '172.16.0.20/24');
describe('the main job', () => {
  it('shows the gallery and opens a lab from it', async () => {
    await expect.poll(() => page.getByTestId('gallery-two-namespaces').isVisible()).toBe(true);
    expect(await page.locator('[data-testid^="gallery-"]').count()).toBe(galleryNames.length);
    await picture('library-first');
    await page
      .getByTestId('gallery-two-namespaces')
      .getByRole('button', { name: 'Two namespaces', exact: true })
      .click();
    await expect.poll(() => card('r1').isVisible()).toBe(true);
    expect(await port('r1:veth1.1').innerText()).toContain('172.16.0.1/24');
    // Nothing exists yet: no realm, no agent.
    expect(() => keeperOf(home, realm)).toThrow();
  });

  it('plans: a diff on the drawing, and the commands of the notes', async () => {
    await action('Plan').click();
    await expect.poll(() => card('r1').getAttribute('data-difference')).toBe('add');
    await picture('plan');
    await page.getByTestId('plan').getByText('Commands', { exact: true }).click();
    const commands = await page.getByTestId('plan').innerText();
    for (const command of [
      'ip netns add r1',
      'ip netns add r2',
      'ip link set br-ex up',
      'ip link add veth1.1 type veth peer name veth1.2',
      'ip link set veth1.1 netns r1',
      'ip netns exec r1 ip addr add 172.16.0.1/24 dev veth1.1',
      'ip netns exec r2 ip link set veth1.2 up',
    ]) {
      expect(commands).toContain(command);
    }
    await picture('plan-commands');
    await page.getByTestId('plan').getByText('Diff', { exact: true }).click();
  });

  it('applies, and the kernel has the network; the checks run and turn green', async () => {
    await apply();
    await expectNetwork(twoNamespaces);
    await expect.poll(() => card('r1').getAttribute('data-presence')).toBe('real');
    await expect.poll(() => page.getByTestId('check-count').innerText()).toContain('1/1');
    await page.getByRole('tab', { name: /Checks/ }).click();
    expect(await page.getByTestId('check').innerText()).toMatch(/\d[\d.,]* ms/);
    await picture('applied');
  });

  it('changes an address in the inspector: one operation each way, applied', async () => {
    await clickCanvas(port('r2:veth1.2'));
    const field = page.getByRole('textbox', { name: 'Address of veth1.2' });
    await field.fill('172.16.0.20/24');
    await field.press('Enter');
    await expect.poll(() => port('r2:veth1.2').getAttribute('data-difference')).not.toBe('add');
    await plan();
    await expect.poll(() => page.getByTestId('plan').innerText()).toContain('172.16.0.20/24');
    await picture('address-plan');
    await apply();
    await expectNetwork(changedAddress);
  });

  it('undoes on the running network, and redoes', async () => {
    await action('Undo').click();
    await expect.poll(() => page.getByTestId('plan').innerText()).toContain('172.16.0.2/24');
    await apply();
    await expectNetwork(twoNamespaces);
    expect(await port('r2:veth1.2').innerText()).toContain('172.16.0.2/24');
    await action('Redo').click();
    await expect.poll(() => page.getByTestId('plan').innerText()).toContain('172.16.0.20/24');
    await apply();
    await expectNetwork(changedAddress);
  });

  it('adds a third namespace by dragging it in and draws a wire to the bridge', async () => {
    const canvas = page.getByTestId('topology-canvas');
    const box = await canvas.boundingBox();
    if (box === null) throw new Error('no canvas');
    await page.getByTestId('palette-namespace').dragTo(canvas, {
      targetPosition: { x: box.width * 0.2, y: box.height * 0.8 },
    });
    await expect.poll(() => card('ns1').isVisible()).toBe(true);
    await clickCanvas(card('ns1'));
    const from = await centreOf(page.locator('[data-handle="ns1"]'));
    const to = await centreOf(card('br-ex'));
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2, { steps: 5 });
    await picture('drawing-a-wire');
    await page.mouse.move(to.x, to.y, { steps: 5 });
    await page.mouse.up();
    await expect.poll(() => port('br-ex:v-ns1').count()).toBe(1);
    await clickCanvas(port('ns1:eth0'));
    await button('Add address to eth0').or(button('Add address')).first().click();
    const address = page.getByRole('textbox', { name: /New address of eth0/ });
    await address.fill('172.16.1.3/24');
    await address.press('Enter');
    await plan();
    await picture('third-namespace-plan');
    await apply();
    await expectNetwork(`${changedAddress}
host ns1
at br-ex v-ns1 172.16.1.3/24 ns1 eth0
`);
    await picture('third-namespace');
  });

  it('opens a console in r1 where the notes’ own commands work, and the drawing follows', async () => {
    const { x, y } = await centreOf(card('r1').locator('.card-title'));
    await page.mouse.dblclick(x, y);
    const terminal = page.getByTestId('terminal');
    await expect.poll(() => terminal.isVisible()).toBe(true);
    await terminal.click();
    await page.keyboard.type('ip addr add 10.99.0.1/24 dev veth1.1\n');
    await expect.poll(() => port('r1:veth1.1').innerText()).toContain('+1');
    await page.keyboard.type('ping -c 1 172.16.0.20\n');
    await expect.poll(() => terminal.locator('.xterm-rows').innerText()).toContain('1 received');
    await picture('console');
  });

  it('shows what is made in the realm as not the lab’s, brctl included', async () => {
    await action('More actions').click();
    await page.getByRole('menuitem', { name: /console/i }).click();
    const terminal = page.getByTestId('terminal');
    await expect.poll(() => terminal.isVisible()).toBe(true);
    await terminal.click();
    await page.keyboard.type('brctl addbr br-mine; ip netns add r9\n');
    const foreign = page.locator('.canvas-layer .card[data-presence="foreign"]');
    await expect
      .poll(() => foreign.allInnerTexts())
      .toEqual(
        expect.arrayContaining([expect.stringContaining('br-mine'), expect.stringContaining('r9')]),
      );
    await picture('foreign');
    await page.keyboard.type('brctl delbr br-mine; ip netns del r9\n');
    await expect.poll(() => foreign.count()).toBe(0);
  });

  it('keeps file, history and window when it is quit and started again', async () => {
    await page.waitForTimeout(1_000);
    await started.stop();
    started = await startNetloom(home);
    ({ page, complaints } = await openWindow(browser, started.url));
    await expect.poll(() => page.getByTestId('lab-name').innerText()).toBe('two-namespaces');
    await expect.poll(() => card('ns1').getAttribute('data-presence')).toBe('real');
    await page.getByRole('tab', { name: /History/ }).click();
    await expect.poll(() => page.locator('[data-testid^="revision"]').count()).toBeGreaterThan(1);
    await picture('history');
  });

  it('says at once that the agent has died, starts it again, and shows what the kernel has', async () => {
    const keeper = keeperOf(home, realm);
    const run = lookInto(keeper);
    const before = readNetworkState(run);
    const namespace = readlinkSync(`/proc/${keeper}/ns/net`);
    const { execFileSync } = await import('node:child_process');
    const agents = execFileSync('pgrep', ['-f', 'agent/agent.js --realm sandbox:two-namespaces'], {
      encoding: 'utf8',
    })
      .split('\n')
      .filter((line) => line !== '')
      .filter((pid) => {
        try {
          return (
            execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' }).trim() ===
            namespace
          );
        } catch {
          return false;
        }
      });
    expect(agents.length).toBeGreaterThan(0);
    for (const pid of agents) process.kill(Number(pid), 'SIGKILL');
    const banner = page.getByTestId('banner-agent-lost');
    await expect.poll(() => banner.isVisible()).toBe(true);
    await picture('agent-lost');
    // While nobody looks, somebody changes the network.
    run(['ip', '-n', 'r1', 'addr', 'add', '10.77.0.1/24', 'dev', 'veth1.1']);
    await button('Start agent').click();
    await expect.poll(() => banner.isVisible()).toBe(false);
    await expect.poll(() => port('r1:veth1.1').innerText()).toContain('+');
    run(['ip', '-n', 'r1', 'addr', 'del', '10.77.0.1/24', 'dev', 'veth1.1']);
    await expect.poll(() => networkDifferences(before, readNetworkState(run))).toEqual([]);
  });

  it('takes the lab down, and nothing is left', async () => {
    const keeper = keeperOf(home, realm);
    await action('Take down').click();
    await expect.poll(() => page.getByTestId('plan').innerText()).toContain('r1');
    await picture('down-plan');
    await action('Apply').click();
    await expect
      .poll(() => {
        try {
          process.kill(keeper, 0);
          return 'alive';
        } catch {
          return 'gone';
        }
      })
      .toBe('gone');
    await expect.poll(() => card('r1').getAttribute('data-presence')).toBe('wanted');
    await button('Library').click();
    await expect.poll(() => page.getByTestId('lab-two-namespaces').innerText()).toContain('down');
    await picture('library-after');
  });

  it('says that the realm has ended when its keeper is killed, and brings the revision up again', async () => {
    await page.getByRole('button', { name: 'Bring up two-namespaces' }).click();
    // It opens the lab, so that its plan can be watched.
    await expect
      .poll(() => card('r1').getAttribute('data-presence'), { timeout: 30_000 })
      .toBe('real');
    await button('Library').click();
    const chip = page.getByTestId('lab-two-namespaces').getByTestId('state-chip');
    await expect.poll(() => chip.getAttribute('data-state-name')).toBe('up');
    await button('Topology').click();
    process.kill(keeperOf(home, realm), 'SIGKILL');
    const banner = page.getByTestId('banner-realm-gone');
    await expect.poll(() => banner.isVisible()).toBe(true);
    // What was checked is gone with it.
    await expect.poll(() => page.getByTestId('check-count').innerText()).toContain('–/1');
    await picture('realm-gone');
    await banner.getByRole('button').click();
    await expect.poll(() => banner.isVisible(), { timeout: 20_000 }).toBe(false);
    await expect
      .poll(() => card('r1').getAttribute('data-presence'), { timeout: 20_000 })
      .toBe('real');
  });

  it('has nothing to complain of in the browser’s console', () => {
    expect(complaints).toEqual([]);
  });
});
