/** The order in which the operations of a plan are carried out, whatever drew them up. */
export const phases = [
  // While its bridge is as it was, and after everything on the way back.
  'detach-uplinks',
  'stop-processes',
  'remove-flows',
  'remove-routes',
  'remove-addresses',
  // While what they sit on is as it was: their inverses come after its inverses.
  'remove-devices',
  // Links that Open vSwitch makes go with their ports, and what they have before that.
  'empty-internals',
  'shrink-switches',
  'remove-switches',
  'stop-engines',
  // What comes up by itself on the way back must have been up before.
  'raise-first',
  // A bond takes a link only while that is down; one that is in a VRF or leaves it is cycled.
  'links-down',
  // A device is never larger than what is below it.
  'shrink-devices',
  // A port begins anew at every bridge.
  'reset-ports',
  'release-ports',
  'remove-veths',
  'remove-groups',
  'remove-bridges',
  'remove-namespaces',
  'add-namespaces',
  // Before there are interfaces, each of which takes it over.
  'forwarding',
  // Before what tells them is there: IPFIX says what its records mean before the first of them, and seldom again.
  'start-collectors',
  'start-engines',
  'add-bridges',
  // Bonds and VRFs, before their members.
  'add-groups',
  'add-veths',
  'add-devices',
  'prepare-bridges',
  'change-links',
  // When the links that are to be ports are there, and nobody else has them.
  'switches',
  // The MTUs of bridges, and devices on others, in the order in which one follows from another.
  'settle-mtus',
  'vlans',
  'addresses',
  'loopbacks',
  'bridges-up',
  // Before what is told of passes: the first record says what the others mean, and is lost where the collector is not reached.
  'collectors-up',
  'links-up',
  // After the links are up: their inverses come before the links go down, which would take them along.
  'ipv6-addresses',
  'impairments',
  'add-routes',
  'rules',
  'flows',
  // When the bridge is up: routes through it need that. It is the first to go back.
  'attach-uplinks',
  'start-processes',
] as const;

export type Phase = (typeof phases)[number];
