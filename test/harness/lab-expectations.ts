/**
 * The gallery's labs written by hand with iproute2, one script a file of assets/labs: what each has to look like,
 * without a line of Netloom. A fresh realm comes first.
 */

/** A fresh realm's own namespace: `lo` is up, and bridged frames do not go through the firewall. */
export const realmScript = `
still() { for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done; }
host() {
  ip netns add "$1"
  ip -n "$1" link set lo up
  ip netns exec "$1" sh -c 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done'
}
# A host with its address at a port of a bridge.
at() {
  ip link add "$2" type veth peer name "$5" netns "$4"
  ip link set "$2" master "$1" up
  ip -n "$4" address add "$3" dev "$5"
  ip -n "$4" link set "$5" up
}
still
ip link set lo up
`;

export const labScripts: Readonly<Record<string, string>> = {
  'two-namespaces.yaml': `
host r1
host r2
ip link add br-ex type bridge
ip link set br-ex up
ip -n r1 link add veth1.1 type veth peer name veth1.2 netns r2
ip -n r1 address add 172.16.0.1/24 dev veth1.1
ip -n r2 address add 172.16.0.2/24 dev veth1.2
ip -n r1 link set veth1.1 up
ip -n r2 link set veth1.2 up
`,
  'one-bridge.yaml': `
host h1
host h2
host h3
ip link add br0 type bridge
ip link set br0 up
at br0 port1 10.0.0.1/24 h1 eth0
at br0 port2 10.0.0.2/24 h2 eth0
at br0 port3 10.0.0.3/24 h3 eth0
`,
  'bridge-chain.yaml': `
host h1
host h2
host h3
ip link add left type bridge
ip link add right type bridge
ip address add 10.1.0.254/24 dev right
ip link set left up
ip link set right up
at left l-port1 10.1.0.1/24 h1 eth0
at left l-port2 10.1.0.2/24 h2 eth0
at right r-port1 10.1.0.3/24 h3 eth0
ip link add uplink1 type veth peer name uplink2
ip link set uplink1 master left up
ip link set uplink2 master right up
`,
  'isolated-bridges.yaml': `
host red1
host red2
host blue1
host blue2
ip link add red type bridge
ip link add blue type bridge
ip link set red up
ip link set blue up
at red r-port1 192.168.10.1/24 red1 eth0
at red r-port2 192.168.10.2/24 red2 eth0
at blue b-port1 192.168.10.11/24 blue1 eth0
at blue b-port2 192.168.10.12/24 blue2 eth0
`,
  'ipv6-pair.yaml': `
host v1
host v2
ip -n v1 link add eth0 type veth peer name eth0 netns v2
ip -n v1 link set eth0 up
ip -n v2 link set eth0 up
ip -n v1 address add fd00:6::1/64 dev eth0 nodad
ip -n v2 address add fd00:6::2/64 dev eth0 nodad
ip -n v2 address add fd00:66::2/64 dev eth0 nodad
ip -n v1 route add fd00:66::/64 via fd00:6::2
`,
  'stp-ring.yaml': `
host h1
host h2
host h3
for b in b1 b2 b3; do ip link add $b type bridge stp_state 1; ip link set $b up; done
ip link add b1-b2 type veth peer name b2-b1
ip link add b2-b3 type veth peer name b3-b2
ip link add b3-b1 type veth peer name b1-b3
ip link set b1-b2 master b1 up
ip link set b1-b3 master b1 up
ip link set b2-b1 master b2 up
ip link set b2-b3 master b2 up
ip link set b3-b2 master b3 up
ip link set b3-b1 master b3 up
at b1 b1-h1 10.2.0.1/24 h1 eth0
at b2 b2-h2 10.2.0.2/24 h2 eth0
at b3 b3-h3 10.2.0.3/24 h3 eth0
`,
};
