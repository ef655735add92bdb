/** What Open vSwitch 3.1 printed of two bridges, br0 (p1, p2, pa) and br1 (h1, bond0 of m1 and m2, pb), joined by pa and pb. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function printed(name: string): string {
  return readFileSync(join(import.meta.dirname, 'texts', `${name}.txt`), 'utf8');
}
