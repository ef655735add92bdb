import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { BrowserWindow, Rectangle } from 'electron';
import { z } from 'zod';

const BoundsSchema = z.strictObject({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(400),
  height: z.number().int().min(300),
});

/** The bounds kept from last time, if they still lie on a screen. */
export function readBounds(file: string, screens: readonly Rectangle[]): Partial<Rectangle> {
  try {
    const bounds = BoundsSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    const visible = screens.some(
      (screen) =>
        bounds.x + bounds.width > screen.x + 80 &&
        bounds.x < screen.x + screen.width - 80 &&
        bounds.y >= screen.y - 10 &&
        bounds.y < screen.y + screen.height - 80,
    );
    return visible ? bounds : { width: bounds.width, height: bounds.height };
  } catch {
    // Missing or spoilt: the window opens at its usual size.
    return {};
  }
}

export function keepBounds(window: BrowserWindow, file: string): void {
  window.on('close', () => {
    try {
      writeFileSync(`${file}.new`, JSON.stringify(window.getNormalBounds()));
      renameSync(`${file}.new`, file);
    } catch {
      // The size of a window is not worth a word to the person.
    }
  });
}
