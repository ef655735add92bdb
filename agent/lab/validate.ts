import type { LabCheck, LabDocument } from '../api/document.ts';
import type { Failure } from '../api/result.ts';
import { BroadcastDomains } from './broadcast-domains.ts';
import { resolveCheck } from './check.ts';
import { DocumentInterfaces } from './document-interfaces.ts';
import { type Advice, Findings, type Locate, pathText } from './findings.ts';
import { AddressValidator } from './validate-addresses.ts';
import { DeviceValidator } from './validate-devices.ts';
import { checkImpairments } from './validate-impairments.ts';
import { checkCpu } from './validate-cpu.ts';
import { checkBridges, checkSettingsHaveLinks } from './validate-interfaces.ts';
import { LoopValidator } from './validate-loops.ts';
import { checkMacs } from './validate-macs.ts';
import { DocumentMtus } from './validate-mtus.ts';
import { checkInternet, checkMachine, checkProcesses, checkRules } from './validate-nodes.ts';
import { RouteValidator } from './validate-routes.ts';
import { checkOvs } from './validate-switches.ts';
import { TunnelValidator } from './validate-tunnels.ts';
import { checkUplinks } from './validate-uplinks.ts';
import { checkVlans } from './validate-vlans.ts';

export interface Validation {
  readonly problems: readonly Failure[];
  readonly advice: readonly Advice[];
}

/**
 * Finds what a schema cannot: what the document means as a network. Expects what the schema has let through. Each
 * subject has a part (`validate-*.ts`); they report in this order, and beyond the limit of `Findings` nothing is said.
 */
export function validateDocument(
  document: LabDocument,
  locate: Locate = (path) => ({ path: pathText(path) }),
): Validation {
  const findings = new Findings(locate);
  const made = new DocumentInterfaces(document, findings);
  made.collect();
  const mtus = new DocumentMtus(made, findings);
  const domains = new BroadcastDomains(made);
  const loops = new LoopValidator(made, findings);
  const tunnels = new TunnelValidator(made, mtus, findings);
  const addresses = new AddressValidator(made, domains, tunnels, findings);
  const routes = new RouteValidator(made, findings);
  checkSettingsHaveLinks(made, findings);
  checkBridges(made, findings);
  checkUplinks(made, domains, findings);
  checkOvs(made, mtus, findings);
  new DeviceValidator(made, mtus, findings).check();
  tunnels.check();
  checkVlans(made, findings);
  checkImpairments(made, findings);
  domains.joinAll(tunnels.pairs);
  loops.check();
  loops.checkBondPairs();
  mtus.check();
  checkMacs(made, domains, findings);
  addresses.check();
  addresses.checkLinkSubnets();
  checkInternet(made, findings);
  for (const [name, node] of made.nodes) {
    if (node.kind === 'vm') checkMachine(made, routes, findings, name, node);
    if (node.kind !== 'namespace') continue;
    routes.check(name, node);
    checkRules(made, findings, name, node);
    checkProcesses(findings, name, node);
  }
  checkChecks(made, findings);
  checkCpu(document, findings);
  for (const name of Object.keys(document.positions ?? {})) {
    if (made.nodes.has(name)) continue;
    findings.advise('position-of-unknown-node', name, { node: name }, ['positions', name]);
  }
  return { problems: findings.problems, advice: findings.advice };
}

function checkChecks(made: DocumentInterfaces, findings: Findings): void {
  for (const [index, check] of (made.document.checks ?? []).entries()) {
    const resolved = resolveCheck(made.document, check);
    if (resolved.ok) continue;
    const key = keyOf(check, resolved.failure);
    const path = ['checks', index, key];
    findings.add({
      ...resolved.failure,
      object: `check ${index + 1}`,
      place: findings.locate(path),
    });
  }
}

/** The key of a check that a problem with it is about. */
function keyOf(check: LabCheck, { code, values }: Failure): string {
  switch (check.check) {
    case 'records':
      return code === 'check-protocol-not-collected' ? 'protocol' : 'at';
    case 'cpu':
      if (code === 'check-against-itself') return 'against';
      return values?.['group'] === check.group ? 'group' : 'against';
    default:
      return ['unknown-node', 'check-from-bridge', 'check-from-machine'].includes(code)
        ? 'from'
        : 'to';
  }
}
