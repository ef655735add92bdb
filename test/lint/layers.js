// Which folder may import which: ARCHITECTURE.md's picture as a lint rule.
import path from 'node:path';

/** For each layer, the folders of ours that it may import besides its own; the first match of a file counts. */
const allowed = [
  { from: 'agent/api/', to: ['agent/api/'], packages: ['zod'] },
  // The algebra and the plan of CPU splits: no I/O.
  { from: 'agent/cpu/', to: ['agent/cpu/', 'agent/api/'], packages: ['zod'] },
  {
    from: 'agent/lab/',
    to: [
      'agent/lab/',
      'agent/api/',
      'agent/cpu/',
      'agent/kernel/ip-address.ts',
      // Pure: the commands of the daemons, shown as they are run.
      'agent/ovs/engine-commands.ts',
    ],
    packages: ['zod', 'yaml'],
  },
  { from: 'agent/ovs/', to: ['agent/ovs/', 'agent/kernel/', 'agent/api/'] },
  // Decoders: bytes in, records out.
  { from: 'agent/activity/', to: ['agent/activity/', 'agent/api/'], packages: ['zod'] },
  // Dissectors and readers of captures: bytes in, layers out.
  {
    from: 'agent/dissect/',
    to: [
      'agent/dissect/',
      'agent/activity/',
      'agent/api/',
      // Pure: addresses as text and bytes.
      'agent/kernel/ip-address.ts',
    ],
    packages: ['zod'],
  },
  // What is kept of packets and asked about them, in the agent and in the window.
  {
    from: 'agent/packets/',
    to: ['agent/packets/', 'agent/dissect/', 'agent/activity/', 'agent/api/'],
    packages: ['zod'],
  },
  { from: 'agent/', to: ['agent/'], forbidden: ['electron', 'vue', 'pinia'] },
  { from: 'main/bridge/contract.ts', to: ['agent/api/'], packages: ['zod'] },
  {
    from: 'main/',
    to: ['main/', 'agent/api/', 'agent/lab/', 'agent/cpu/', 'agent/dissect/'],
    forbidden: ['vue', 'pinia'],
  },
  {
    from: 'renderer/',
    to: [
      'renderer/',
      'agent/api/',
      'agent/lab/',
      'agent/cpu/',
      'agent/activity/',
      'agent/dissect/',
      'agent/packets/',
      'main/bridge/contract.ts',
    ],
    forbidden: ['electron', 'zeromq', 'koffi', 'ws'],
    node: false,
    except: ['renderer/vite.config.ts'],
  },
];

export const layers = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { layer: '{{ from }} may not import {{ target }}.' },
  },
  create(context) {
    const root = context.settings.netloom.root;
    const file = path.relative(root, context.filename);
    const layer = allowed.find((entry) => file.startsWith(entry.from));
    if (layer === undefined || layer.except?.includes(file)) return {};
    const report = (node, target) =>
      context.report({ node, messageId: 'layer', data: { from: file, target } });
    const check = (node) => {
      const source = node.source?.value;
      if (typeof source !== 'string') return;
      if (source.startsWith('.')) {
        const target = path.relative(root, path.resolve(path.dirname(context.filename), source));
        if (!layer.to.some((prefix) => target.startsWith(prefix))) report(node, target);
      } else if (source.startsWith('node:')) {
        if (layer.packages !== undefined || layer.node === false) report(node, source);
      } else {
        const name = source.startsWith('@')
          ? source.split('/').slice(0, 2).join('/')
          : source.split('/')[0];
        if (layer.packages !== undefined && !layer.packages.includes(name)) report(node, source);
        if (layer.forbidden?.includes(name)) report(node, source);
      }
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};
