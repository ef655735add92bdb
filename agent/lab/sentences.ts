import type { Warning } from '../api/plan.ts';
import type { Failure, FailureKind, Place } from '../api/result.ts';

/**
 * Every sentence that the pure part of the agent says, in English. A client translates by code and fills in the same
 * values: `{name}` stands for `values.name`. `next` is empty where nothing has to be done.
 */
export const sentences = {
  // The text
  'document-too-large': {
    reason: 'The document has {bytes} bytes; at most {limit} are read.',
    next: 'Split it into several labs.',
  },
  'document-empty': {
    reason: 'The document is empty.',
    next: 'Start with `netloom: 1`, a `name` and a `topology`.',
  },
  'yaml-syntax': { reason: 'This is not valid YAML: {message}.', next: 'Correct the text here.' },
  'yaml-multiple-documents': {
    reason: 'The file holds more than one YAML document.',
    next: 'Keep one lab in a file.',
  },
  'yaml-aliases': {
    reason: 'The aliases of this document expand to too much.',
    next: 'Write the repeated parts out.',
  },
  'yaml-nesting': { reason: 'The document is nested too deeply.', next: 'Flatten it.' },
  'duplicate-key': { reason: 'The key {key} is given twice.', next: 'Keep one of the two.' },
  'unsafe-key': { reason: '{key} cannot be a key.', next: 'Choose another name.' },
  'too-many-problems': {
    reason: 'There are more than {limit} problems; the rest is not listed.',
    next: 'Correct these first.',
  },
  // The schema
  'unknown-key': {
    reason: '{key} is not a key that is known here.',
    next: 'Remove it or correct its spelling.',
  },
  'unknown-key-near': {
    reason: '{key} is not a key that is known here.',
    next: 'Perhaps `{near}` is meant.',
  },
  'missing-key': { reason: 'The key {key} is missing.', next: 'Add it.' },
  'wrong-type': { reason: 'This is {actual}, but {expected} is expected.', next: 'Correct it.' },
  'not-finite': {
    reason: '{value} is no number that could be used here.',
    next: 'Write a finite number, such as 2.5.',
  },
  'number-for-text': {
    reason: 'This is {actual}, but text is expected.',
    next: 'Put it in quotes.',
  },
  'wrong-choice': { reason: '{value} is none of {choices}.', next: 'Use one of them.' },
  'out-of-range': { reason: '{value} is {direction} {limit}.', next: 'Choose a value in range.' },
  'wrong-length': {
    reason: 'This has {direction} {limit} {unit}.',
    next: 'Make it {remedy}.',
  },
  'wrong-format': { reason: '{value} does not fit: {rule}.', next: 'Correct it.' },
  'wrong-value': { reason: 'This value does not fit: {rule}.', next: 'Correct it.' },
  'name-with-pattern': {
    reason: 'The kernel would replace the % in {name} by a number of its own.',
    next: 'Use letters, digits, `.`, `_` and `-`.',
  },
  'name-starts-wrong': {
    reason:
      'The name {name} does not start with a letter or digit; commands would read it as something else.',
    next: 'Start it with a letter or digit.',
  },
  'name-too-long': {
    reason: 'The name {name} has {length} characters; the kernel keeps 15 bytes.',
    next: 'Choose a name of at most 15 characters.',
  },
  'name-reserved': {
    reason: 'The name {name} has a meaning of its own to the kernel or to `ip`.',
    next: 'Choose another name.',
  },
  'name-characters': {
    reason: 'The name {name} has characters other than letters, digits, `.`, `_` and `-`.',
    next: 'Use only these.',
  },
  'name-empty': { reason: 'A name is empty.', next: 'Give it 1 to 15 letters or digits.' },
  'not-an-endpoint': {
    reason: '{value} is not of the form NODE:INTERFACE.',
    next: 'Write it like `r1:eth0`.',
  },
  'invalid-lab-name': {
    reason: 'The lab name {name} is not 1 to 32 lower-case letters, digits and inner hyphens.',
    next: 'Choose another name.',
  },
  'invalid-mac': {
    reason: '{mac} is not a MAC address.',
    next: 'Write six bytes, like `02:00:00:00:00:01`.',
  },
  // The CPU split
  'cpu-too-few-cores': {
    reason: 'The split is for {cores} CPUs, and this machine has {has}.',
    next: 'Apply it with --scale, which makes every cap smaller in proportion, or correct `cores`.',
  },
  'cpu-scaled-too-small': {
    reason:
      'Scaled, the cap of {group} is {scaled} cores instead of {cap}; the kernel’s least is {least}.',
    next: 'Raise this cap, or use a machine with more CPUs.',
  },
  'cpu-pins-not-here': {
    reason: '{group} is pinned to CPU {cpu}, which this machine does not have or does not give.',
    next: 'Pin it to CPUs that there are.',
  },
  'cpu-machine-lacks': {
    reason: '{group} asks for {what}, which this machine lacks.',
    next: 'Leave it out, or use another machine. `netloom doctor` says what there is.',
  },
  'cpu-no-partitions': {
    reason:
      '{group} is to have CPUs for itself, and {base}, which the lab’s groups are in, has none for itself to give.',
    next: 'Remove `partition`: pins that nobody else has come to the same within the lab.',
  },
  'cpu-cap-above-parent': {
    reason: 'The cap of {group}, {cap} cores, is above that of {parent}; cgroup v1 refuses that.',
    next: 'Lower it, or remove it: without a cap the parent’s holds.',
  },
  'cpu-no-controller': {
    reason: 'No hierarchy of control groups on this machine has the controller `cpu`.',
    next: 'Boot a kernel with it (CONFIG_CFS_BANDWIDTH), without cgroup_disable=cpu.',
  },
  'cpu-in-sandbox': {
    reason: 'CPU groups belong to the machine, and nobody has given this sandbox a control group.',
    next: 'Bring the lab up in the realm of the host (--realm host), or start it in a control group of yours (where it runs, after netloom down {lab}): systemd-run --user --scope -p Delegate=yes netloom up {lab}. Without systemd, give yourself one, once in the shell that you start it from: for d in {mounts}; do g=$d/netloom-$(id -un); sudo mkdir -p $g; for c in cpu cpuset; do [ ! -e $d/cgroup.subtree_control ] || echo +$c | sudo tee $d/cgroup.subtree_control; done; for f in cpuset.cpus cpuset.mems; do [ ! -e $d/$f ] || sudo tee $g/$f <$d/$f; done; sudo chown -R $(id -u) $g; echo $$ | sudo tee $g/cgroup.procs; done',
  },
  'cpu-in-sandbox-v1': {
    reason: 'CPU groups belong to the machine, and nobody has given this sandbox a control group.',
    next: 'Bring the lab up in the realm of the host (--realm host), or give yourself a control group, once in the shell that you start it from (where it runs, after netloom down {lab}): for d in {mounts}; do g=$d/netloom-$(id -un); sudo mkdir -p $g; for c in cpu cpuset; do [ ! -e $d/cgroup.subtree_control ] || echo +$c | sudo tee $d/cgroup.subtree_control; done; for f in cpuset.cpus cpuset.mems; do [ ! -e $d/$f ] || sudo tee $g/$f <$d/$f; done; sudo chown -R $(id -u) $g; echo $$ | sudo tee $g/cgroup.procs; done',
  },
  'cpu-agent-outside': {
    reason:
      'The sandbox’s control group is {place}, and its agent was started outside and may not enter.',
    next: 'End it (netloom agent stop --realm {realm}) and start it from where the sandbox was started.',
  },
  'cpu-place-missing': {
    reason: 'There is no control group {base} that CPU groups could be made in.',
    next: 'Make it, or name another one by NETLOOM_CPU_CGROUP, and start the agent again.',
  },
  'cpu-place-read-only': {
    reason:
      'The control groups at {base} are mounted read-only: no CPU group can be changed there.',
    next: 'Mount them writable; where this is a container, start it with its control groups writable.',
  },
  'cpu-under-systemd': {
    reason:
      'systemd manages this machine’s control groups, which are of version 1, and would take the limits away again from groups that it has not made.',
    next: 'Give Netloom a group of its own: sudo systemd-run --unit netloom-cpu -p "Delegate=cpu cpuset" -p DelegateSubgroup=holder sleep infinity; then start the agent with NETLOOM_CPU_CGROUP=/system.slice/netloom-cpu.service.',
  },
  'cpu-holder-foreign': {
    reason:
      'The lab’s CPU groups would be held by the unit {unit}, and systemd has one of that name that is not Netloom’s.',
    next: 'Give the lab or the unit another name (systemctl cat {unit} shows it).',
  },
  'check-without-split': {
    reason: 'The check measures the CPU group {group}, and the document has no `cpu`.',
    next: 'Add `cpu` with its groups, or remove the check.',
  },
  'check-against-itself': {
    reason: '{other} is {group} itself, or one holds the other: they do not contend as two.',
    next: 'Name groups beside it.',
  },
  'check-above-ceiling': {
    reason: '{group} can use {ceiling} cores at most; the check expects {cores}.',
    next: 'Lower `cores`, or raise what holds the group.',
  },
  'cpu-bind-no-split': {
    reason: 'Lab {lab} has no CPU groups that a process could be bound to.',
    next: 'Add `cpu` with its groups to the document, and apply it.',
  },
  'cpu-bind-no-cpus': {
    reason: '{group} has no CPU left: groups in it have all of them for themselves.',
    next: 'Bind it to one of those, or remove `partition` from one of them.',
  },
  'cpu-bind-no-group': {
    reason: 'Lab {lab} has no CPU group {group}.',
    next: 'Name one of those that `netloom cpu show {lab}` lists; `/` is the root.',
  },
  'cpu-bind-no-process': {
    reason: 'There is no process {pid}, or it has ended.',
    next: 'Look for it again.',
  },
  'cpu-bind-not-bound': {
    reason: 'Nobody has bound process {pid} to a group of lab {lab}.',
    next: 'Name processes that were bound by hand; those of the document go where its `cpu` says.',
  },
  'cpu-bind-kernel-thread': {
    reason: '{name} is a thread of the kernel: it belongs to the machine, and often to one CPU.',
    next: 'Leave it where it is.',
  },
  'cpu-bind-first-process': {
    reason: '{name} is the first process, which keeps the machine or the sandbox running.',
    next: 'Bind the processes that it has started, one by one.',
  },
  'cpu-bind-agent': {
    reason: 'This is Netloom’s own agent: held back by a cap, it could not lift that again.',
    next: 'Leave it where it is.',
  },
  'cpu-bind-foreign': {
    reason: '{name} is a process of another user (uid {uid}).',
    next: 'Bind processes of your own, or do it as root.',
  },
  'cpu-bind-unit': {
    reason: '{name} is of the unit {unit}, which systemd would lose sight of.',
    next: 'Limit the unit itself: systemctl set-property {unit} CPUQuota=… CPUWeight=….',
  },
  'cpu-bind-run': {
    reason:
      '{name} is of the process {run} that lab {lab} runs: its document says where that belongs.',
    next: 'Write `cpu` with the group’s path at the process or its node, and apply.',
  },
  'cpu-bind-realtime': {
    reason: '{name} has a realtime policy, and the kernel gives this group no realtime budget.',
    next: 'Give it an ordinary policy first: chrt --other --pid 0 {pid}.',
  },
  'cpu-bind-outside': {
    reason:
      '{name} was started outside of the control group that this sandbox was given, and only root may move it in.',
    next: 'Start it from a console of the lab, and bind it then.',
  },
  'cpu-bind-refused': {
    reason:
      'The kernel does not let the processes into the group ({errno}); all are where they were.',
    next: 'Look at the state of the group: netloom cpu show.',
  },
  'cpu-group-name': {
    reason:
      'The group’s name {name} is not 1 to 63 letters, digits, `.`, `_` or `-` with a letter or digit first.',
    next: 'Choose another name.',
  },
  'cpu-group-reserved': {
    reason: 'The kernel has a file of the name {name} in every control group, or may have one.',
    next: 'Choose a name without a controller’s name and a dot at its beginning.',
  },
  'cpu-too-many-groups': {
    reason: 'The split has {count} groups; at most {limit} are made.',
    next: 'Leave some out.',
  },
  'cpu-cap-too-small': {
    reason:
      'The cap of {group} is {cores} cores; the kernel’s least is {least}, a millisecond in each second.',
    next: 'Give it at least that, or leave `cap` out for none.',
  },
  'cpu-cap-inexact': {
    reason: 'The cap of {group}, {cores} cores, cannot be written as a quota of the kernel.',
    next: 'Choose a smaller cap.',
  },
  'cpu-burst-without-cap': {
    reason: '{group} has a burst and no cap that it could go above.',
    next: 'Give it a cap, or remove the burst.',
  },
  'cpu-burst-above-cap': {
    reason:
      'The burst of {group} is {burst} cores, above its cap of {cap}; the kernel refuses that.',
    next: 'Choose a burst up to the cap.',
  },
  'cpu-idle-with-weight': {
    reason: '{group} is idle and has a weight; the kernel gives an idle group the least one.',
    next: 'Keep one of the two.',
  },
  'cpu-invalid-pins': {
    reason: '{pins} is not a list of CPUs: ranges run upwards, up to CPU 8191.',
    next: 'Write it like `0-3,8`.',
  },
  'cpu-pins-missing': {
    reason: '{group} is pinned to CPU {cpu}, and the split is for {cores} CPUs: 0 to {last}.',
    next: 'Pin it to CPUs that there are, or correct `cores`.',
  },
  'cpu-pins-outside-parent': {
    reason: '{group} is pinned to {pins}, outside the pins of {parent}: {outer}.',
    next: 'Choose CPUs among the parent’s.',
  },
  'cpu-partition-without-pins': {
    reason: '{group} is to have CPUs for itself and has no pins that say which.',
    next: 'Give it pins, or remove `partition`.',
  },
  'cpu-partition-takes-all': {
    reason: 'The lab’s groups would have every CPU of the machine for themselves: {pins}.',
    next: 'Leave at least one CPU out of their pins, for everybody else; or remove `partition`.',
  },
  'cpu-partition-in-shared': {
    reason: '{group} is to have CPUs for itself, and {parent}, around it, has none for itself.',
    next: 'Give {parent} `partition: root` and pins too, or remove `partition` from {group}.',
  },
  'cpu-partition-beside-unpinned': {
    reason:
      '{group} has no pins, and beside {other}, which has CPUs for itself, it can only run on CPUs that the lab takes too.',
    next: 'Give {group} pins to the CPUs that it is to run on, or remove `partition` from {other}.',
  },
  'cpu-partition-leaves-none': {
    reason: 'Groups in {group} have all of its CPUs for themselves, which leaves none for {rest}.',
    next: 'Leave a CPU to share, in {group} or in a group beside them; or remove `partition` from one of them.',
  },
  'cpu-partition-takes': {
    reason:
      'The lab takes the CPUs {pins} for itself: nothing else on the machine runs on them while it is up.',
    next: 'Remove `partition` to share them.',
  },
  'cpu-partition-overlap': {
    reason: '{group} is to have CPUs for itself that {other} is pinned to as well: {pins}.',
    next: 'Give them different pins, or remove `partition`.',
  },
  'cpu-group-unknown': {
    reason: 'No CPU group is named {group}.',
    next: 'Add the group below `cpu`, or correct the path.',
  },
  'cpu-cap-without-effect': {
    reason: 'The cap of {group}, {cap} cores, is above what {ancestor} leaves it: {ceiling}.',
    next: '',
  },
  'cpu-overcommitted': {
    reason:
      'The caps in {group} come to {allotted} cores, and it has {ceiling}: they cannot all be used at once.',
    next: '',
  },
  'cpu-cap-at-pins': {
    reason:
      'The cap of {group} is as large as its own CPUs; it only adds stops. Without a cap the pins hold it as well.',
    next: '',
  },
  // Nodes, links and interfaces
  'unknown-node': {
    reason: 'No node is named {node}.',
    next: 'Add the node or correct the name.',
  },
  'same-endpoints': {
    reason: 'Both ends of the link are {endpoint}.',
    next: 'Give each end an interface of its own.',
  },
  'duplicate-interface': {
    reason: 'The interface {interface} already exists in {place}: {other} makes it.',
    next: 'Choose another interface name.',
  },
  'interface-without-link': {
    reason: 'No link makes the interface {interface} of {node}.',
    next: 'Add a link with the endpoint {node}:{interface}, give it a `kind`, or remove it.',
  },
  'settings-of-bridge': {
    reason: '{interface} is a bridge; its settings are at its own node.',
    next: 'Move them to the node {interface}.',
  },
  'internet-twice': {
    reason: 'The lab has two nodes for the outside: {other} and {node}.',
    next: 'Keep one of them.',
  },
  'internet-without-address': {
    reason: '{interface} of {node} has no IPv4 address: nothing can be routed through it.',
    next: 'Give it an address that the others have as their gateway.',
  },
  'no-route-to-internet': {
    reason: '{node} is next to {internet} and has no default route.',
    next: 'Add a route to `default` via {gateway}.',
  },
  'not-a-namespace': {
    reason: '{node} is not a namespace node.',
    next: 'Name a node of the kind namespace.',
  },
  'too-many-ports': {
    reason: 'The bridge {bridge} has {count} ports; the kernel allows {limit}.',
    next: 'Spread them over several bridges.',
  },
  'bridge-loop': {
    reason: 'This link closes a loop of bridges of which none runs STP: {bridges}.',
    next: 'Set `stp: true` on the bridges of the loop, or remove a link.',
  },
  'unusable-mac': {
    reason: 'The MAC address {mac} is a group address or all zero.',
    next: 'Use an individual address, like `02:00:00:00:00:01`.',
  },
  'duplicate-mac': {
    reason: 'The MAC address {mac} is already on {other}.',
    next: 'Give each interface its own.',
  },
  'repeated-mac': {
    reason: 'The MAC address {mac} is also on {other}, in another broadcast domain.',
    next: '',
  },
  'mtu-mismatch': {
    reason: 'The MTU is {mtu} here and {otherMtu} on {other}; longer packets are lost.',
    next: 'Give both ends the same MTU.',
  },
  'mtu-mismatch-at-bridge': {
    reason:
      'The ports of {bridge} differ in MTU ({mtu} on {port}, {otherMtu} on {other}); longer packets are lost.',
    next: 'Give all links at the bridge the same MTU.',
  },
  'mtu-too-small-for-ipv6': {
    reason:
      'The MTU {mtu} is below 1280, the least that IPv6 needs; the kernel would drop {address}.',
    next: 'Raise the MTU or remove the IPv6 address.',
  },
  // Addresses
  'invalid-address': {
    reason: '{address} is not an IPv4 or IPv6 address with a prefix length.',
    next: 'Write it like `172.16.0.1/24` or `fd00::1/64`.',
  },
  'address-without-prefix': {
    reason: 'The address {address} has no prefix length.',
    next: 'Add one, like `{address}/{length}`.',
  },
  'prefix-out-of-range': {
    reason: 'The prefix length of {address} is above {limit}.',
    next: 'Choose a length from 0 to {limit}.',
  },
  'special-address': {
    reason: 'The address {address} cannot be an interface’s own: it is {sort}.',
    next: 'Choose an ordinary address.',
  },
  'duplicate-address': {
    reason: 'Address {address} is already on {other}.',
    next: 'Choose another address.',
  },
  'repeated-address': {
    reason: 'Address {address} is also on {other}, in another broadcast domain.',
    next: '',
  },
  'network-address': {
    reason: '{address} is the address of the subnet itself.',
    next: 'Choose another address unless this is meant.',
  },
  'broadcast-address': {
    reason: '{address} is the broadcast address of its subnet.',
    next: 'Choose another address.',
  },
  // Routes
  'invalid-route': {
    reason: '{to} is not a destination.',
    next: 'Write `default`, a prefix like `10.0.0.0/8`, or an address.',
  },
  'prefix-with-host-bits': {
    reason: '{to} has bits behind its prefix length.',
    next: 'Write {canonical}.',
  },
  'route-without-target': {
    reason: 'The route to {to} has neither a gateway nor a device.',
    next: 'Add `via` or `dev`.',
  },
  'invalid-gateway': {
    reason: 'The gateway {via} is not an address.',
    next: 'Write an address without a prefix length.',
  },
  'gateway-of-other-family': {
    reason: 'The gateway {via} and the destination {to} are of different families.',
    next: 'Use a gateway of the same family.',
  },
  'gateway-outside-subnets': {
    reason: 'The gateway {via} is in no subnet of {place}.',
    next: 'Choose a gateway in a subnet of the node, or add an address.',
  },
  'gateway-is-own': {
    reason: 'The gateway {via} is an address of the node itself.',
    next: 'Choose the address of a neighbour.',
  },
  'gateway-needs-device': {
    reason: 'The link-local gateway {via} is reached through a certain device only.',
    next: 'Add `dev`.',
  },
  'route-device-unknown': {
    reason: '{node} has no interface {dev}.',
    next: 'Name an interface of the node.',
  },
  'route-device-down': {
    reason: 'The route to {to} is left out while its interface {dev} is down.',
    next: '',
  },
  'duplicate-route': {
    reason: 'There is already a route to {to} with metric {metric}.',
    next: 'Remove one of the two or give it another metric.',
  },
  'route-is-connected': {
    reason: 'The kernel makes the route to {to} itself, from {address}.',
    next: 'Remove the route.',
  },
  // Checks and positions
  'check-from-bridge': {
    reason: '{node} is a bridge; a check starts in a namespace.',
    next: 'Name a node of the kind namespace.',
  },
  'check-from-machine': {
    reason: '{node} is a virtual machine; a check starts in a namespace.',
    next: 'Name a node of the kind namespace; it can ask for {node}.',
  },
  'check-without-collector': {
    reason: '{node} has no collector, so no records come there.',
    next: 'Give the node a collector, or name one that has it.',
  },
  'collector-not-running': {
    reason: 'The collector of {node} does not run, so no records come.',
    next: 'Look at what it has printed; plan and apply again: that starts it anew.',
  },
  'check-protocol-not-collected': {
    reason: 'The collector of {node} does not listen for {protocol}.',
    next: 'Give it a port for {protocol}.',
  },
  'check-target-without-address': {
    reason: '{target} has no address.',
    next: 'Give it one, or name an address.',
  },
  'check-target-unknown': {
    reason: '{target} is neither a node, an interface nor an address.',
    next: 'Correct the name.',
  },
  'check-family-missing': {
    reason: '{node} has no address of the family of {target}.',
    next: '',
  },
  'position-of-unknown-node': {
    reason: 'No node is named {node}; its position is not used.',
    next: '',
  },
  // Devices
  'unknown-interface': {
    reason: '{node} has no interface {interface}.',
    next: 'Name an interface of the node, or add one.',
  },
  'device-on-itself': {
    reason: '{interface} would sit on itself: {circle}.',
    next: 'Choose another device below it.',
  },
  'parent-down': {
    reason: '{interface} cannot be up while {parent} below it is down.',
    next: 'Bring {parent} up, or take {interface} down.',
  },
  'duplicate-vlan': {
    reason: 'The VLAN {id} of {parent} is {other} already.',
    next: 'Choose another VLAN or remove one of the two.',
  },
  'member-of-two': {
    reason: '{interface} is in {other} already; an interface has one master.',
    next: 'Remove it from one of the two.',
  },
  'member-is-master': { reason: '{interface} cannot be a member of itself.', next: 'Remove it.' },
  'member-with-address': {
    reason: '{interface} is in the bond {bond}; its addresses belong to the bond.',
    next: 'Move them to {bond}.',
  },
  'bond-without-members': { reason: 'The bond {bond} has no members and no carrier.', next: '' },
  'mac-not-possible': {
    reason: 'A {kind} has no MAC address.',
    next: 'Remove `mac`.',
  },
  'unlike-ends': {
    reason: 'The tunnel’s own address {local} and {remote} are of different families.',
    next: 'Use two addresses of one family.',
  },
  'mtu-beyond-tunnel': {
    reason:
      'Packets of {mtu} bytes cannot pass in one piece: {underlay} below carries {limit} at most.',
    next: 'Choose an MTU of at most {limit}, or leave it out.',
  },
  'address-outside-link': {
    reason: 'The address {address} is in no subnet of {other} at the other end of the link.',
    next: 'Choose an address in {subnet}.',
  },
  // VLANs
  'vlan-without-filtering': {
    reason: 'The bridge {bridge} does not filter VLANs, so what {port} says of them has no effect.',
    next: 'Set `vlanFiltering: true` at {bridge}.',
  },
  'access-and-trunk': {
    reason: '{port} is an access port of VLAN {vlan} and a trunk at once.',
    next: 'Keep `vlan` or `trunk`.',
  },
  'native-without-trunk': {
    reason: '{port} names a native VLAN and no trunk.',
    next: 'Add `trunk`, or write `vlan` for an access port.',
  },
  'vlan-not-at-bridge': {
    reason: 'The bridge {bridge} takes no part in VLAN {id}, so {interface} hears nothing.',
    next: 'Add {id} to `vlans` of {bridge}.',
  },
  'vlan-alone': {
    reason: 'No other port carries VLAN {id} of {port}.',
    next: 'Add the VLAN to another port.',
  },
  // Tunnels
  'tunnel-to-itself': {
    reason: 'Both ends of the tunnel are at {node}.',
    next: 'Choose another node for one end.',
  },
  'tunnel-at-bridge': {
    reason: '{node} is a bridge; a tunnel ends at a tap or tun of a namespace.',
    next: 'End it at a namespace, or use VXLAN or GRETAP at the bridge.',
  },
  'tunnel-at-machine': {
    reason: '{node} is a virtual machine; a tunnel ends at a tap or tun of a namespace.',
    next: 'End it at a namespace that the machine is linked to.',
  },
  'tunnel-without-device': {
    reason: '{endpoint} is no tap and no tun.',
    next: 'Give {endpoint} the kind tap or tun.',
  },
  'tunnel-of-unlike-devices': {
    reason: '{endpoint} is a {kind}, {other} a {otherKind}: frames and packets do not mix.',
    next: 'Give both the same kind.',
  },
  'tunnel-device-taken': {
    reason: '{endpoint} is the end of another tunnel already.',
    next: 'Give each tunnel a device of its own.',
  },
  'underlay-not-own': {
    reason: '{address} is not an address of {node}.',
    next: 'Name an address that {node} has on another interface.',
  },
  // Uplinks
  'uplink-of-two': {
    reason: '{interface} is the uplink of {other} already; an interface is a port of one bridge.',
    next: 'Choose another interface for one of the two.',
  },
  'uplink-is-member': {
    reason: '{interface} is a port of {other} already.',
    next: 'Choose another interface, or remove it there.',
  },
  'uplink-not-possible': {
    reason: 'A {kind} cannot be a port of a bridge.',
    next: 'Choose another interface.',
  },
  'uplink-bridge-down': {
    reason: '{bridge} is down, and its uplink {interface} would be cut off.',
    next: 'Remove `state: down`, or the uplink.',
  },
  // Impairments, rules and processes
  'jitter-without-delay': {
    reason: '{what} needs a delay to vary.',
    next: 'Add `delay`, or remove `{key}`.',
  },
  'rate-too-low': { reason: 'The rate {rate} is below 8 bit/s.', next: 'Choose a higher one.' },
  'invalid-prefix': {
    reason: '{text} is neither an address nor a prefix.',
    next: 'Write it like `10.0.0.0/24` or `fd00::1`.',
  },
  'invalid-host': {
    reason: '{text} is not an address.',
    next: 'Write an address without a prefix length.',
  },
  'families-differ': {
    reason: '{one} and {other} are of different families.',
    next: 'Use addresses of one family.',
  },
  'port-without-protocol': {
    reason: 'A port says nothing without tcp or udp.',
    next: 'Add `protocol: tcp` or `protocol: udp`.',
  },
  'invalid-port-range': {
    reason: '{text} is not a range of ports.',
    next: 'Write the lower port first, both from 1 to 65535.',
  },
  'nat-without-forwarding': {
    reason: '{node} translates addresses and does not forward: nothing comes that far.',
    next: 'Set `forwarding: true`.',
  },
  'duplicate-process': {
    reason: '{node} runs another process named {name} already.',
    next: 'Choose another name.',
  },
  'check-target-no-node': {
    reason: '{target} is no node of the lab; a rate is measured at both ends.',
    next: 'Name a node.',
  },
  // Virtual machines
  'machine-to-machine': {
    reason: '{node} and {other} are both virtual machines; a card leads to a tap of the network.',
    next: 'Link both to a bridge.',
  },
  'machine-in-two-namespaces': {
    reason:
      'The cards of {node} lead to different namespaces ({one}, {other}); one process holds all of its taps.',
    next: 'Link it to one namespace, or to bridges in the same one.',
  },
  'machine-without-kernel': {
    reason: '{node} has an `{key}` and no `kernel` that would take it.',
    next: 'Give it a `kernel`, or remove `{key}`.',
  },
  'machine-routes-unused': {
    reason: '{node} has a system of its own: nobody tells it these routes.',
    next: 'Set them inside, and remove them here.',
  },
  'machine-command-line-too-long': {
    reason: 'What {node} is to be told has {length} bytes; its kernel takes {limit}.',
    next: 'Give it fewer addresses, routes or words to append.',
  },
  // Open vSwitch
  'stp-and-rstp': {
    reason: '{bridge} would have STP and RSTP at once.',
    next: 'Keep one of the two.',
  },
  'ovs-datapaths-mixed': {
    reason: '{bridge} and {other} share an Open vSwitch and ask for different datapaths.',
    next: 'Give both the same one, or leave the word out.',
  },
  'tree-setting-unused': {
    reason: '`{key}` has no effect: the spanning tree of {bridge} does not use it.',
    next: '',
  },
  'stp-cost-too-high': {
    reason: 'With STP a path costs at most {limit}; {port} asks for more.',
    next: 'Choose a lower `cost`, or use RSTP.',
  },
  'native-mode-without-native': {
    reason: '{port} says how its native VLAN leaves, and has none.',
    next: 'Add `native`, or remove `nativeMode`.',
  },
  'qos-not-possible': {
    reason: '{port} is a {kind} port: it has no queue of its own, and `{key}` has no effect.',
    next: 'Put it at the port that the frames leave by.',
  },
  'qos-and-impairment': {
    reason:
      '{port} has `qos` and an impairment; an interface has one queueing discipline at its root.',
    next: 'Put the impairment at the other end of the link.',
  },
  'ovs-rate-too-low': {
    reason: 'The rate {rate} is below 1 kbit/s.',
    next: 'Choose a higher one.',
  },
  'queue-rates-swapped': {
    reason: 'Queue {queue} of {port} is given more at least than at most.',
    next: 'Correct one of the two rates.',
  },
  'bond-member-not-link': {
    reason: '{interface} is no end of a link at {node}, and cannot be a member of {bond}.',
    next: 'Name ports of {node} that links end at.',
  },
  'bond-member-setting': {
    reason: '{interface} is a member of {bond}; `{key}` belongs to the bond.',
    next: 'Move it to {bond}.',
  },
  'bond-setting': {
    reason: '`{key}` belongs to the members of the bond {bond}.',
    next: 'Move it to the members.',
  },
  'balance-tcp-without-lacp': {
    reason: 'The bond {bond} needs LACP to balance by TCP connection; without it nothing passes.',
    next: 'Set `lacp: active`, or choose `balance-slb`.',
  },
  'bridge-loop-past-tree': {
    reason:
      'This link closes a loop that no spanning tree breaks, since {bridge} has none and drops the BPDUs of the others: {bridges}.',
    next: 'Set `rstp: true` or `stp: true` on {bridge}, or remove a link.',
  },
  'bonds-choose-apart': {
    reason:
      'The bond {bond} sends through one link at a time, and {other} at its other end may choose another: then nothing passes.',
    next: 'Set `lacp: active` on both, or end the links at ports of their own.',
  },
  'duplicate-tunnel': {
    reason: '{port} and {other} are the same tunnel: Open vSwitch would have one of them.',
    next: 'Give each a key of its own, or remove one.',
  },
  'tunnel-without-route': {
    reason: '{node} has no way to {remote}.',
    next: 'Give {node} an address in its subnet or a route, on a bridge of its own.',
  },
  'underlay-on-link': {
    reason:
      'The way of the tunnel {port} is {interface} of {node}; Open vSwitch sends tunnels only by its own bridges, and nothing would pass.',
    next: 'Add an ovs-bridge in {node} with `uplink: {interface}`; it takes the addresses over.',
  },
  'mtu-beyond-ovs-tunnel': {
    reason:
      'Packets of {mtu} bytes do not pass the tunnel {port} in one piece: {underlay} below it carries {limit} at most.',
    next: '',
  },
  'mirror-port-unknown': {
    reason: 'The mirror {mirror} names {port}, which is no port of {bridge}.',
    next: 'Correct the name.',
  },
  'mirror-output-selected': {
    reason: 'The mirror {mirror} would copy what {port} carries to {port} itself.',
    next: 'Choose another output, or leave {port} out.',
  },
  'mirror-selects-nothing': {
    reason: 'The mirror {mirror} copies nothing.',
    next: 'Add `all: true`, or ports, or VLANs.',
  },
  'invalid-target': {
    reason: '{text} is no address with a port.',
    next: 'Write it like `10.0.0.1:2055` or `[fd00::1]:2055`.',
  },
  'invalid-controller': {
    reason: '{text} is no controller.',
    next: 'Write it like `tcp:10.0.0.1:6653`.',
  },
  'protocols-too-old': {
    reason: '{bridge} has {what}, which OpenFlow has since {version}; `protocols` leaves that out.',
    next: 'Add {version} to `protocols`, or remove `protocols`.',
  },
  'unknown-group': {
    reason: 'The flow leads to the group {number}, which {bridge} does not have.',
    next: 'Add it to `groups`.',
  },
  'unknown-meter': {
    reason: 'The flow leads to the meter {number}, which {bridge} does not have.',
    next: 'Add it to `meters`.',
  },
  'patch-not-at-bridge': {
    reason: '{node} is no Open vSwitch bridge; a patch leads from one to another.',
    next: 'Use a link without `type: patch`.',
  },
  'patch-across-namespaces': {
    reason: '{bridge} and {other} are in different namespaces, and so in different Open vSwitches.',
    next: 'Use a link without `type: patch`, or a tunnel.',
  },
  'patch-to-itself': {
    reason: 'Both ends of the patch are at {bridge}.',
    next: 'Choose another bridge for one end.',
  },
  'patch-setting': {
    reason: '{port} is a patch port, no interface: it has no `{key}`.',
    next: 'Remove `{key}`.',
  },
  'physical-port-inside': {
    reason: 'The machine’s interface {interface} is not in {node}, where this bridge is.',
    next: 'Join the bridge to one in the realm’s own namespace by a link, and give that one the port.',
  },
  'ovs-uplink-not-made': {
    reason:
      'The uplink {interface} of {bridge} is no end of a link of its namespace; an Open vSwitch bridge takes no other interface for its uplink.',
    next: 'Name the end of a link there, give the bridge a port of the kind `physical`, or use a Linux bridge, which takes addresses over.',
  },
  // Plans
  'ovs-bridge-taken': {
    reason: 'The Open vSwitch bridge {name} exists and is not of this lab.',
    next: 'Rename the node, or remove the bridge.',
  },
  'ovs-bridge-of-other-lab': {
    reason: 'The Open vSwitch bridge {name} belongs to the lab {other}.',
    next: 'Rename the node, or take the lab {other} down.',
  },
  'ovs-not-running': {
    reason: 'Open vSwitch does not run on this machine.',
    next: 'Start it with `systemctl start openvswitch-switch`, or bring the lab up in a sandbox.',
  },
  'ovs-datapath-differs': {
    reason: 'The Open vSwitch of {place} uses the datapath {there}, and the lab asks for {wanted}.',
    next: 'Leave the word out, or end what uses that Open vSwitch first.',
  },
  'ovs-datapath-taken': {
    reason:
      'Another Open vSwitch in {place} has the datapath {datapath}, and a second one cannot use it.',
    next: 'End that Open vSwitch, or put the bridges into a namespace of the lab.',
  },
  'policing-without-effect': {
    reason: 'The userspace datapath takes the policing of {port} and drops nothing; a meter works.',
    next: '',
  },
  'queues-without-effect': {
    reason:
      'The userspace datapath puts no packet into the queues of {port}; its `maximumRate` does count.',
    next: '',
  },
  'kernel-lacks': {
    reason: 'This machine lacks {capability}, which {object} needs ({reason}).',
    next: 'See `netloom doctor` for what adds it, or remove it from the lab.',
  },
  'internet-not-allowed': {
    reason: '{node} stands for the outside, and the realm has no way out.',
    next: 'Allow it for this realm: plan again in the window, or netloom up FILE --internet.',
  },
  'internet-in-host': {
    reason: '{node} stands for the outside of a sandbox, and the host realm is outside already.',
    next: 'Use the machine’s own interfaces, or bring the lab up in a sandbox.',
  },
  'internet-taken': {
    reason: 'Another lab in this realm has its own way out, or somebody has set our rules there.',
    next: 'Take that lab down, or bring this one up in a realm of its own.',
  },
  'machine-on-host': {
    reason: '{node} is a virtual machine; those run in sandboxes only.',
    next: 'Bring the lab up in a sandbox.',
  },
  'queueing-taken': {
    reason: '{name} has a queueing discipline ({kind}) that is not of this lab.',
    next: 'Remove it with `tc qdisc del`, or remove the impairment.',
  },
  'namespace-taken': {
    reason: 'The namespace {name} exists and is not of this lab.',
    next: 'Rename the node, or remove the namespace.',
  },
  'namespace-of-other-lab': {
    reason: 'The namespace {name} belongs to the lab {other}.',
    next: 'Rename the node, or take the lab {other} down.',
  },
  'interface-taken': {
    reason: 'The interface {name} exists and is not of this lab.',
    next: 'Rename it in the lab, or remove the interface.',
  },
  'interface-of-other-lab': {
    reason: 'The interface {name} belongs to the lab {other}.',
    next: 'Rename it in the lab, or take the lab {other} down.',
  },
  'address-taken': {
    reason: '{interface} already has the address {address}, which is not of this lab.',
    next: 'Remove that address, or choose another.',
  },
  'route-taken': {
    reason:
      'There is already a route to {to} with metric {metric} in {place}, which is not of this lab.',
    next: 'Remove that route, or choose another metric.',
  },
  'foreign-address': {
    reason: 'The address {address} on {interface} is not of this lab and stays.',
    next: '',
  },
  'foreign-address-lost': {
    reason: 'The address {address} on {interface} is not of this lab and goes with this change.',
    next: '',
  },
  'foreign-route': {
    reason: 'The route to {to} in {place} is not of this lab and stays.',
    next: '',
  },
  'foreign-route-lost': {
    reason: 'The route to {to} in {place} is not of this lab and goes with this change.',
    next: '',
  },
  'foreign-interface-lost': {
    reason: 'The interface {name} is not of this lab and goes with its namespace.',
    next: '',
  },
  'foreign-port-released': {
    reason: 'The interface {name} is not of this lab; the bridge {bridge} lets go of it.',
    next: '',
  },
  'physical-port-missing': {
    reason: 'There is no interface {interface} to be a port of {bridge}.',
    next: 'Correct the name of the port.',
  },
  'physical-port-unfit': {
    reason: '{interface} ({kind}) cannot be a port of an Open vSwitch bridge.',
    next: 'Choose another interface.',
  },
  'physical-port-taken': {
    reason: '{interface} is a port of {master} already.',
    next: 'Take it out of {master}, or choose another interface.',
  },
  'physical-port-addressed': {
    reason: '{interface} has addresses, which nobody could reach any more: {addresses}.',
    next: 'Remove them first, or make it the uplink of a Linux bridge, which takes them over.',
  },
  'physical-port-down': {
    reason: '{interface} is down: nothing passes until somebody brings it up.',
    next: 'Bring it up with `ip link set {interface} up`.',
  },
  'uplink-missing': {
    reason: 'There is no interface {interface} to be the uplink of {bridge}.',
    next: 'Correct the name of the uplink.',
  },
  'uplink-unfit': {
    reason: '{interface} ({kind}) cannot be a port of a bridge.',
    next: 'Choose another interface as the uplink of {bridge}.',
  },
  'uplink-is-port': {
    reason: '{interface} is a port of {master} already.',
    next: 'Take it out of {master}, or choose another interface as the uplink of {bridge}.',
  },
  'uplink-route-intricate': {
    reason: 'The route to {to} through {interface} has settings that could not be given back.',
    next: 'Remove the route, or choose another interface as the uplink.',
  },
  'uplink-address-dynamic': {
    reason:
      'The address {address} on {interface} ends by itself and stays there, where nothing reaches it: its DHCP client has to run on {bridge}.',
    next: '',
  },
  'uplink-down': {
    reason: 'The uplink {interface} is down; nothing passes through {bridge} until it is up.',
    next: '',
  },
  'uplink-at-stake': {
    reason:
      'The addresses and routes of {interface} move to {bridge}; whoever is connected through it may be cut off.',
    next: '',
  },
  'uplink-needs-deadline': {
    reason:
      '{interface} has the only way out of its namespace: without a deadline nobody could take the change back.',
    next: 'Apply with a deadline, or add another default route first.',
  },
  'processes-lose-name': {
    reason: 'Processes still run in the namespace {name} ({count}); they keep it until they end.',
    next: 'End them to free the namespace.',
  },
  'run-as-root': {
    reason:
      'The process {name} of {place} would run as root on this machine, which a lab’s processes never do in the realm of the host.',
    next: 'Apply the lab as an enrolled user (netloom agent enrol USER), or bring it up in a sandbox.',
  },
  'bridge-filtered': {
    reason:
      'Frames that cross the bridge {name} go through this machine’s firewall (net.bridge.bridge-nf-call is on), where {chain} drops what it does not allow.',
    next: '',
  },
  'out-of-reach': {
    reason: 'The interface {name} of this lab is in a namespace without a name and stays.',
    next: 'End the processes that hold the namespace.',
  },
} as const satisfies Readonly<Record<string, { readonly reason: string; readonly next: string }>>;

export type SentenceCode = keyof typeof sentences;
export const codes: readonly string[] = Object.keys(sentences);

export type SentenceValues = Readonly<Record<string, string | number>>;

/** Fills in a template; a placeholder without a value stays as it is. */
export function fillTemplate(template: string, values: SentenceValues): string {
  return template.replace(/\{(\w+)\}/g, (placeholder, name: string) =>
    Object.hasOwn(values, name) ? readable(values[name] ?? '') : placeholder,
  );
}

/** Values come from documents and kernels: no control characters, and not without end. */
function readable(value: string | number): string {
  const text = String(value).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '�');
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

function boundedValues(values: SentenceValues): SentenceValues {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      typeof value === 'number' ? value : readable(value),
    ]),
  );
}

export function failureOf(
  kind: FailureKind,
  code: SentenceCode,
  object: string,
  values: SentenceValues = {},
  place?: Place,
): Failure {
  const template = sentences[code];
  return {
    kind,
    code,
    object: readable(object),
    reason: fillTemplate(template.reason, values),
    next: fillTemplate(template.next, values),
    values: boundedValues(values),
    ...(place === undefined ? {} : { place }),
  };
}

export function warningOf(
  code: SentenceCode,
  object: string,
  values: SentenceValues = {},
): Warning {
  return {
    code,
    object: readable(object),
    sentence: fillTemplate(sentences[code].reason, values),
    values: boundedValues(values),
  };
}
