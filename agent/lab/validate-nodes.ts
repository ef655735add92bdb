/** What nodes have beside interfaces and routes: rules, processes, virtual machines, the way out. */
import type { NamespaceNode, VirtualMachineNode } from '../api/document.ts';
import type { DocumentInterfaces } from './document-interfaces.ts';
import type { Findings } from './findings.ts';
import { linkKey } from './network.ts';
import { subnetsAt } from './validate-addresses.ts';
import type { RouteValidator } from './validate-routes.ts';
import { validateRules } from './validate-rules.ts';
import { longestCommandLine, systemCommandLine, usesSystem } from './virtual-machine.ts';

export function checkRules(
  made: DocumentInterfaces,
  findings: Findings,
  name: string,
  node: NamespaceNode,
): void {
  validateRules(node, {
    hasInterface: (text) => text === 'lo' || made.interfaces.has(linkKey(name, text)),
    report: (code, values, path) => {
      findings.report(code, name, { node: name, ...values }, ['topology', 'nodes', name, ...path]);
    },
  });
  const forwards = node.forwarding !== undefined && node.forwarding !== false;
  if ((node.nat ?? []).length === 0 || forwards) return;
  const path = ['topology', 'nodes', name, 'nat'];
  findings.advise('nat-without-forwarding', name, { node: name }, path);
}

export function checkProcesses(findings: Findings, name: string, node: NamespaceNode): void {
  const seen = new Set<string>();
  for (const [index, run] of (node.run ?? []).entries()) {
    if (seen.has(run.name)) {
      const path = ['topology', 'nodes', name, 'run', index, 'name'];
      findings.report('duplicate-process', name, { node: name, name: run.name }, path);
    }
    seen.add(run.name);
  }
}

export function checkMachine(
  made: DocumentInterfaces,
  routes: RouteValidator,
  findings: Findings,
  name: string,
  node: VirtualMachineNode,
): void {
  const path = ['topology', 'nodes', name];
  const [first, ...others] = made.taps.get(name) ?? [];
  const apart = others.find(({ namespace }) => namespace !== first?.namespace);
  if (first !== undefined && apart !== undefined) {
    const values = { node: name, one: first.label, other: apart.label };
    findings.report('machine-in-two-namespaces', name, values, path);
  }
  for (const key of ['initramfs', 'append'] as const) {
    // Netloom's own system has an initramfs; its command line takes further words.
    const missing = key === 'append' ? node.disk !== undefined : true;
    if (node[key] === undefined || node.kernel !== undefined || !missing) continue;
    findings.report('machine-without-kernel', name, { node: name, key }, [...path, key]);
  }
  routes.check(name, node);
  if (!usesSystem(node)) {
    if ((node.routes ?? []).length === 0) return;
    findings.advise('machine-routes-unused', name, { node: name }, [...path, 'routes']);
    return;
  }
  const cards = Object.entries(node.interfaces ?? {}).map(([card, { addresses }]) => ({
    name: card,
    tap: '',
    mac: '',
    mtu: null,
    addresses: addresses ?? [],
  }));
  const length = new TextEncoder().encode(systemCommandLine(name, node, cards)).length;
  if (length <= longestCommandLine) return;
  const values = { node: name, length, limit: longestCommandLine };
  findings.report('machine-command-line-too-long', name, values, path);
}

export function checkInternet(made: DocumentInterfaces, findings: Findings): void {
  const [first, ...others] = [...made.nodes].filter(([, { kind }]) => kind === 'internet');
  if (first === undefined) return;
  const [internet] = first;
  for (const [node] of others) {
    findings.report('internet-twice', node, { node, other: internet }, ['topology', 'nodes', node]);
  }
  for (const [left, right] of made.wires) {
    const near = left.node === internet ? left : right;
    const far = near === left ? right : left;
    if (near.node !== internet) continue;
    const [own] = subnetsAt(near, 'ipv4');
    if (own === undefined) {
      const values = { node: internet, interface: near.name };
      findings.advise('internet-without-address', near.label, values, near.path);
      continue;
    }
    const neighbour = made.nodes.get(far.node);
    if (neighbour?.kind !== 'namespace') continue;
    if (neighbour.routes?.some(({ to }) => to === 'default' || to === '0.0.0.0/0') === true) {
      continue;
    }
    const values = { node: far.node, internet, gateway: own.host.text };
    findings.advise('no-route-to-internet', far.node, values, ['topology', 'nodes', far.node]);
  }
}
