/** A lab as a person builds it in the window: palette, drags, wires, fields of the inspector, the check editor. */
import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import { centreOf } from './window.ts';

export class Person {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  card(node: string): Locator {
    return this.page.locator(`.canvas-layer .card[data-node="${node}"]`);
  }

  port(id: string): Locator {
    return this.page.locator(`.canvas-layer .port[data-port="${id}"]`);
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  action(name: string): Locator {
    return this.page
      .getByRole('toolbar', { name: 'Lab', exact: true })
      .getByRole('button', { name, exact: true });
  }

  inspector(): Locator {
    return this.page.getByTestId('inspector');
  }

  async point(target: Locator, button: 'left' | 'right' = 'left'): Promise<void> {
    const { x, y } = await centreOf(target);
    await this.page.mouse.click(x, y, { button });
  }

  /** An empty lab from the library. */
  async createLab(name: string): Promise<void> {
    await this.button('Library').click();
    await this.button('New lab').click();
    const dialog = this.page.getByRole('dialog');
    await dialog.getByRole('textbox').fill(name);
    await dialog.getByRole('button', { name: 'Create', exact: true }).click();
    await expect.poll(() => this.page.getByTestId('lab-name').innerText()).toBe(name);
    // The drawer takes its room before anything is drawn.
    await this.page.getByRole('tab', { name: /^Checks/ }).click();
    await expect.poll(() => this.page.getByTestId('checks').isVisible()).toBe(true);
  }

  /** Makes room for what is to be drawn. */
  async zoomOut(times: number): Promise<void> {
    for (let time = 0; time < times; time += 1) await this.button('Zoom out').click();
  }

  /** Drags a node from the palette to a place of the canvas, in parts of its width and height, and names it. */
  async place(
    kind: 'namespace' | 'router' | 'bridge' | 'ovs-bridge',
    name: string,
    x: number,
    y: number,
  ) {
    const canvas = this.page.getByTestId('topology-canvas');
    const box = await canvas.boundingBox();
    if (box === null) throw new Error('no canvas');
    const cards = this.page.locator('.canvas-layer .card');
    const before = await cards.count();
    await this.page.getByTestId(`palette-${kind}`).dragTo(canvas, {
      targetPosition: { x: box.width * x, y: box.height * y },
    });
    await expect.poll(() => cards.count()).toBe(before + 1);
    // What was dropped is selected.
    const field = this.inspector().getByRole('textbox', { name: 'Name', exact: true });
    await field.fill(name);
    await field.press('Enter');
    await expect.poll(() => this.card(name).isVisible()).toBe(true);
  }

  /** Draws a wire from one node to another. */
  async wire(from: string, to: string): Promise<void> {
    await this.point(this.card(from).locator('.card-name'));
    await this.drag(this.page.locator(`[data-handle="${from}"]`), this.card(to));
  }

  async drag(from: Locator, to: Locator): Promise<void> {
    const start = await centreOf(from);
    const end = await centreOf(to);
    await this.page.mouse.move(start.x, start.y);
    await this.page.mouse.down();
    await this.page.mouse.move((start.x + end.x) / 2, (start.y + end.y) / 2, { steps: 4 });
    await this.page.mouse.move(end.x, end.y, { steps: 4 });
    await this.page.mouse.up();
  }

  async address(node: string, name: string, address: string): Promise<void> {
    await this.point(this.port(`${node}:${name}`));
    await this.button(`Add address to ${name}`).click();
    const field = this.page.getByRole('textbox', { name: `New address of ${name}` });
    await field.fill(address);
    await field.press('Enter');
    await expect.poll(() => this.port(`${node}:${name}`).innerText()).toContain(address);
  }

  async route(node: string, route: string): Promise<void> {
    await this.point(this.card(node).locator('.card-name'));
    await this.button('Add route').click();
    const field = this.page.getByRole('textbox', { name: 'New route' });
    await field.fill(route);
    await field.press('Enter');
    await expect.poll(() => field.count()).toBe(0);
  }

  /** Fills a field of the inspector and leaves it by Enter. */
  async fill(label: string, text: string, within: Locator = this.inspector()): Promise<void> {
    const field = within.getByRole('textbox', { name: label, exact: true });
    await field.fill(text);
    await field.press('Enter');
  }

  async check(
    from: string,
    to: string,
    expectation: 'reaches' | 'does not reach' = 'reaches',
  ): Promise<void> {
    await this.page.getByRole('tab', { name: /^Checks/ }).click();
    const checks = this.page.getByTestId('checks');
    const before = await this.page.getByTestId('check').count();
    await checks.getByRole('button', { name: 'Add check' }).click();
    await checks.getByRole('combobox', { name: 'From' }).selectOption(from);
    await checks.getByRole('combobox', { name: 'Expectation' }).selectOption(expectation);
    await checks.getByRole('combobox', { name: 'To' }).fill(to);
    await checks.getByRole('button', { name: 'Save' }).click();
    await expect.poll(() => this.page.getByTestId('check').count()).toBe(before + 1);
  }

  /** Plans, and applies what the plan shows. */
  async planAndApply(): Promise<void> {
    await this.action('Plan').click();
    await expect.poll(() => this.action('Apply').isEnabled(), { timeout: 30_000 }).toBe(true);
    await this.action('Apply').click();
    await expect
      .poll(() => this.page.getByTestId('plan-state').innerText(), { timeout: 180_000 })
      .toMatch(/in force|nothing/i);
  }

  async expectChecks(passed: number, all: number): Promise<void> {
    await expect
      .poll(() => this.page.getByTestId('check-count').innerText(), { timeout: 180_000 })
      .toContain(`${passed}/${all}`);
  }
}
