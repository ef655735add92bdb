/** What no dissector knows. */
import type { Protocol } from './dissection.ts';
import { octets } from './field.ts';

const data = octets('data.data', 'Data');

export const undecoded: Protocol = {
  name: 'data',
  title: 'Data',
  minimum: 0,
  fields: [data],
  enter: () => undefined,
  describe(tree) {
    tree.octets(data, tree.left);
  },
};
