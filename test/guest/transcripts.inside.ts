/**
 * The commands that a plan prints, by `sh` on a kernel that has everything, for the labs that need such a one. Run in the guest
 * by labs.test.ts.
 */
import { afterAll, expect, it } from 'vitest';
import { expectTranscript } from '../harness/lab-by-hand.ts';
import { fullKernelLabs } from '../harness/lab-needs.ts';
import { Netloom } from '../harness/netloom.ts';

const netloom = new Netloom();
afterAll(() => netloom.dispose());

it.each(fullKernelLabs)('the transcript of %s makes the lab', async (file) => {
  expect(await expectTranscript(file, netloom)).toBe(true);
});
