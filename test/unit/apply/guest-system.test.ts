import { describe, expect, it } from 'vitest';
import { offersVirtualization } from '../../../agent/apply/guest-system.ts';

const processor = (flags: string): string =>
  `processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Processor of 10 vmx\nflags\t\t: ${flags}\n\n`;

describe('the virtualization of a processor', () => {
  it('is VT-x or AMD-V by its flags', () => {
    expect(offersVirtualization(processor('fpu vme de pse vmx ssse3'))).toBe(true);
    expect(offersVirtualization(processor('fpu vme de pse svm ssse3'))).toBe(true);
  });

  it('is missing without them, whatever else is virtual there', () => {
    expect(offersVirtualization(processor('fpu vme de pse hypervisor svm_lock'))).toBe(false);
    expect(offersVirtualization('')).toBe(false);
  });
});
