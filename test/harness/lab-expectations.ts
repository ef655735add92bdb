/**
 * The gallery's labs written by hand with iproute2, one script a file of assets/labs: what each has to look like,
 * without a line of Netloom. A fresh realm comes first.
 */
import { switchLabScripts } from './lab-expectations-ovs.ts';

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
# A cable between two hosts: NAMESPACE INTERFACE ADDRESS, twice. The address may be a hyphen: none.
cable() {
  ip -n "$1" link add "$2" type veth peer name "$5" netns "$4"
  number "$3" "$1" "$2"
  number "$6" "$4" "$5"
  ip -n "$1" link set "$2" up
  ip -n "$4" link set "$5" up
}
number() { [ "$1" = - ] || ip -n "$2" address add "$1" dev "$3" $(case "$1" in *:*) echo nodad ;; esac); }
forward() { ip netns exec "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'; }
route() { ip -n "$1" route add "$2" via "$3"; }
run() { n=$1; shift; ip netns exec "$n" setsid "$@" </dev/null >/dev/null 2>&1 & }
# One VLAN of a port, without a tag.
access() { bridge vlan del dev "$1" vid 1; bridge vlan add dev "$1" vid "$2" pvid untagged; }
still
ip link set lo up
`;

export const labScripts: Readonly<Record<string, string>> = {
  ...switchLabScripts,
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
  'bridged.yaml': `
host vm1
host vm2
host outside
ip link add br-ex type bridge
ip address add 192.168.0.97/24 dev br-ex
ip link set br-ex up
at br-ex vnet1 192.168.0.101/24 vm1 eth0
at br-ex vnet2 192.168.0.102/24 vm2 eth0
at br-ex enp1s0 192.168.0.10/24 outside eth0
ip -n outside address add 203.0.113.10/24 dev eth0
`,
  'uplink.yaml': `
host network
host outside
host vm1
cable network enp1s0 192.168.0.97/24 outside eth0 192.168.0.1/24
ip -n outside address add 203.0.113.10/24 dev eth0
route network default 192.168.0.1
ip -n network link add br-ex type bridge
ip -n network link set br-ex up
# As in the notes; the route goes with the address.
ip -n network address del 192.168.0.97/24 dev enp1s0
ip -n network address add 192.168.0.97/24 dev br-ex
ip -n network link set enp1s0 master br-ex
route network default 192.168.0.1
cable network vnet1 - vm1 eth0 192.168.0.101/24
ip -n network link set vnet1 master br-ex
`,
  'stp-ring.yaml': `
host h1
host h2
host h3
# Times in hundredths of a second. A bridge with STP takes at least a second of hello time and two of forward delay.
ip link add b1 type bridge stp_state 1 priority 4096 hello_time 100 max_age 600 forward_delay 400
ip link add b2 type bridge stp_state 1 priority 8192 hello_time 100 max_age 600 forward_delay 400
ip link add b3 type bridge stp_state 1 priority 12288 hello_time 100 max_age 600 forward_delay 400
for b in b1 b2 b3; do ip link set $b up; done
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
  'bond.yaml': `
host a
host b
cable a eth0 - b eth0 -
cable a eth1 - b eth1 -
for n in a b; do
  ip -n $n link add bond0 type bond mode active-backup miimon 100
  for i in eth0 eth1; do
    ip -n $n link set $i down
    ip -n $n link set $i master bond0
    ip -n $n link set $i up
  done
done
ip -n a address add 10.50.0.1/24 dev bond0
ip -n b address add 10.50.0.2/24 dev bond0
ip -n a link set bond0 up
ip -n b link set bond0 up
`,
  'routed.yaml': `
for n in h1 h2 router knows lost; do host $n; done
ip link add inner type bridge
ip link add outer type bridge
ip link set inner up
ip link set outer up
at inner in-h1 10.10.0.11/24 h1 eth0
at inner in-h2 10.10.0.12/24 h2 eth0
at inner in-router 10.10.0.1/24 router in0
at outer out-router 203.0.113.1/24 router out0
at outer out-knows 203.0.113.10/24 knows eth0
at outer out-lost 203.0.113.20/24 lost eth0
route h1 default 10.10.0.1
route h2 default 10.10.0.1
route knows 10.10.0.0/24 203.0.113.1
forward router
`,
  'ipv6-router.yaml': `
for n in h1 r1 r2 h2 mute; do host $n; done
for r in r1 r2; do ip netns exec $r sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'; done
ip link add lan2 type bridge
ip link set lan2 up
cable h1 eth0 2001:db8:1::10/64 r1 lan0 2001:db8:1::1/64
cable r1 wan0 2001:db8:ff::1/64 r2 wan0 2001:db8:ff::2/64
plug() {
  ip link add $1 type veth peer name $3 netns $2
  ip link set $1 master lan2 up
  ip -n $2 address add $4 dev $3 nodad
  ip -n $2 link set $3 up
}
plug p-r2 r2 lan0 2001:db8:2::1/64
plug p-h2 h2 eth0 2001:db8:2::10/64
plug p-mute mute eth0 2001:db8:2::20/64
route h1 default 2001:db8:1::1
route r1 2001:db8:2::/64 2001:db8:ff::2
route r2 2001:db8:1::/64 2001:db8:ff::1
route h2 default 2001:db8:2::1
`,
  'nat.yaml': `
for n in h1 h2 router server; do host $n; done
ip link add inner type bridge
ip link set inner up
at inner in-h1 192.168.1.11/24 h1 eth0
at inner in-h2 192.168.1.12/24 h2 eth0
at inner in-router 192.168.1.1/24 router in0
cable router out0 203.0.113.1/24 server eth0 203.0.113.80/24
route h1 default 192.168.1.1
route h2 default 192.168.1.1
forward router
ip netns exec router nft -f - <<'RULES'
table inet netloom {
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "out0" ip saddr 192.168.1.0/24 masquerade
  }
}
RULES
`,
  'port-forward.yaml': `
for n in web private router outside; do host $n; done
ip link add inner type bridge
ip link set inner up
at inner in-web 10.20.0.80/24 web eth0
at inner in-private 10.20.0.81/24 private eth0
at inner in-router 10.20.0.1/24 router in0
cable router out0 203.0.113.1/24 outside eth0 203.0.113.50/24
route web default 10.20.0.1
route private default 10.20.0.1
route outside 10.20.0.0/24 203.0.113.1
forward router
ip netns exec outside nft -f - <<'RULES'
table inet netloom {
  chain input {
    type filter hook input priority 0; policy accept;
    ip saddr 10.20.0.0/24 ct state new drop
  }
}
RULES
ip netns exec router nft -f - <<'RULES'
table inet netloom {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "in0" oifname "out0" accept
    iifname "out0" ip daddr 10.20.0.80 tcp dport 80 accept
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname "out0" fib daddr type local tcp dport 8080 dnat ip to 10.20.0.80:80
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "out0" ip saddr 10.20.0.0/24 masquerade
  }
}
RULES
for n in web private outside; do run $n python3 -m http.server 80 --directory /srv; done
`,
  'vlan-trunk.yaml': `
for n in red1 blue1 red2 blue2; do host $n; done
for b in sw1 sw2; do ip link add $b type bridge vlan_filtering 1; ip link set $b up; done
at sw1 sw1-red 192.168.30.1/24 red1 eth0
at sw1 sw1-blue 192.168.30.11/24 blue1 eth0
at sw2 sw2-red 192.168.30.2/24 red2 eth0
at sw2 sw2-blue 192.168.30.12/24 blue2 eth0
ip link add trunk1 type veth peer name trunk2
ip link set trunk1 master sw1 up
ip link set trunk2 master sw2 up
for b in sw1 sw2; do access $b-red 10; access $b-blue 20; done
for p in trunk1 trunk2; do
  bridge vlan del dev $p vid 1
  bridge vlan add dev $p vid 10
  bridge vlan add dev $p vid 20
done
`,
  'vlan-router.yaml': `
for n in router red blue green1 green2; do host $n; done
ip link add sw type bridge vlan_filtering 1
ip link set sw up
at sw up10 192.168.10.1/24 router eth0
at sw up20 192.168.20.1/24 router eth1
at sw p-red 192.168.10.2/24 red eth0
at sw p-blue 192.168.20.2/24 blue eth0
at sw p-green1 192.168.10.3/24 green1 eth0
at sw p-green2 192.168.10.4/24 green2 eth0
access up10 10
access up20 20
access p-red 10
access p-blue 20
access p-green1 30
access p-green2 30
route red default 192.168.10.1
route blue default 192.168.20.1
forward router
`,
  'router-on-a-stick.yaml': `
for n in router red blue green1 green2; do host $n; done
ip link add sw type bridge vlan_filtering 1
ip link set sw up
at sw p-red 192.168.10.2/24 red eth0
at sw p-blue 192.168.20.2/24 blue eth0
at sw p-green1 192.168.30.2/24 green1 eth0
at sw p-green2 192.168.30.3/24 green2 eth0
ip link add trunk type veth peer name eth0 netns router
ip link set trunk master sw up
ip -n router link set eth0 up
for v in 10 20 30; do
  ip -n router link add eth0.$v link eth0 type vlan id $v
  ip -n router address add 192.168.$v.1/24 dev eth0.$v
  ip -n router link set eth0.$v up
done
bridge vlan del dev trunk vid 1
bridge vlan add dev trunk vid 10
bridge vlan add dev trunk vid 20
access p-red 10
access p-blue 20
access p-green1 30
access p-green2 30
route red default 192.168.10.1
route blue default 192.168.20.1
route green1 default 192.168.30.1
route green2 default 192.168.30.1
forward router
`,
  'layer3-switch.yaml': `
for n in l3 red1 red2 blue green1 green2; do host $n; done
ip -n l3 link add fabric type bridge vlan_filtering 1
ip -n l3 link set fabric up
plug() {
  cable l3 $1 - $2 eth0 $3
  ip -n l3 link set $1 master fabric
  bridge -n l3 vlan del dev $1 vid 1
  bridge -n l3 vlan add dev $1 vid $4 pvid untagged
}
plug port1 red1 192.168.10.2/24 10
plug port2 red2 192.168.10.3/24 10
plug port3 blue 192.168.20.2/24 20
plug port4 green1 192.168.10.4/24 30
plug port5 green2 192.168.10.5/24 30
for v in 10 20; do
  bridge -n l3 vlan add dev fabric vid $v self
  ip -n l3 link add vlan$v link fabric type vlan id $v
  ip -n l3 address add 192.168.$v.1/24 dev vlan$v
  ip -n l3 link set vlan$v up
done
route red1 default 192.168.10.1
route red2 default 192.168.10.1
route blue default 192.168.20.1
forward l3
`,
  'rate-limit.yaml': `
host home
host isp
cable home eth0 10.90.0.2/24 isp eth0 10.90.0.1/24
tc -n home qdisc add dev eth0 root handle 4e: tbf rate 4mbit burst 10000 limit 40000
tc -n isp qdisc add dev eth0 root handle 4e: tbf rate 20mbit burst 12500 limit 137500
`,
  'impairment.yaml': `
for n in here near far; do host $n; done
ip link add lan type bridge
ip link set lan up
at lan port1 10.80.0.1/24 here eth0
at lan port2 10.80.0.2/24 near eth0
at lan line 10.80.0.3/24 far eth0
tc qdisc add dev line root handle 4e: netem limit 1000 delay 20ms rate 10mbit
tc -n far qdisc add dev eth0 root handle 4e: netem limit 1000 delay 20ms rate 10mbit
`,
  'tun-tunnel.yaml': `
for n in desk west transit east files; do host $n; done
cable desk eth0 192.168.10.10/24 west lan0 192.168.10.1/24
cable west eth0 198.51.100.2/24 transit eth0 198.51.100.1/24
cable transit eth1 203.0.113.1/24 east eth0 203.0.113.2/24
cable east lan0 192.168.20.1/24 files eth0 192.168.20.10/24
for n in west east; do
  ip -n $n tuntap add dev tun0 mode tun
  # 20 bytes of IPv4 and 8 of UDP around each packet.
  ip -n $n link set tun0 mtu 1472
done
number 10.40.0.1/30 west tun0
number 10.40.0.2/30 east tun0
ip -n west link set tun0 up
ip -n east link set tun0 up
route desk default 192.168.10.1
route west 203.0.113.0/24 198.51.100.1
route west 192.168.20.0/24 10.40.0.2
route east 198.51.100.0/24 203.0.113.1
route east 192.168.10.0/24 10.40.0.1
route files default 192.168.20.1
for n in west transit east; do forward $n; done
run west socat UDP4-DATAGRAM:203.0.113.2:5555,bind=198.51.100.2:5555 TUN,tun-name=tun0,tun-type=tun,iff-no-pi
run east socat UDP4-DATAGRAM:198.51.100.2:5555,bind=203.0.113.2:5555 TUN,tun-name=tun0,tun-type=tun,iff-no-pi
`,
  'tap-tunnel.yaml': `
for n in west transit east; do host $n; done
cable west eth0 198.51.100.2/24 transit eth0 198.51.100.1/24
cable transit eth1 203.0.113.1/24 east eth0 203.0.113.2/24
for n in west east; do
  ip -n $n tuntap add dev tap0 mode tap
  # 20 bytes of IPv4, 8 of UDP and 14 of the inner Ethernet.
  ip -n $n link set tap0 mtu 1458
done
number 10.30.0.1/24 west tap0
number fd00:30::1/64 west tap0
number 10.30.0.2/24 east tap0
number fd00:30::2/64 east tap0
ip -n west link set tap0 up
ip -n east link set tap0 up
route west default 198.51.100.1
route east default 203.0.113.1
forward transit
run west socat UDP4-DATAGRAM:203.0.113.2:5555,bind=198.51.100.2:5555 TUN,tun-name=tap0,tun-type=tap,iff-no-pi
run east socat UDP4-DATAGRAM:198.51.100.2:5555,bind=203.0.113.2:5555 TUN,tun-name=tap0,tun-type=tap,iff-no-pi
`,
  'virtual-machine.yaml': `
host h1
ip link add br0 type bridge
ip link set br0 up
at br0 port1 10.90.0.1/24 h1 eth0
ip tuntap add dev tap1 mode tap
ip link set tap1 master br0 up
`,
  'gre.yaml': overlay(
    70,
    'ip -n host1 link add gt1 mtu 1450 type gretap local 198.51.100.2 remote 203.0.113.2 key 100',
    'ip -n host2 link add gt1 mtu 1450 type gretap local 203.0.113.2 remote 198.51.100.2 key 100',
    'gt1',
  ),
  'vxlan.yaml': overlay(
    60,
    'ip -n host1 link add vx1 mtu 1450 type vxlan id 100 local 198.51.100.2 remote 203.0.113.2 dstport 4789',
    'ip -n host2 link add vx1 mtu 1450 type vxlan id 100 local 203.0.113.2 remote 198.51.100.2 dstport 4789',
    'vx1',
  ),
  'three-node-site.yaml': `
for n in manager compute network vm1 vm2 internet; do host $n; done
for b in mgmt-net int-net ext-net; do ip link add $b type bridge; ip link set $b up; done
at mgmt-net m-manager 172.16.0.10/24 manager mgmt0
at mgmt-net m-compute 172.16.0.11/24 compute mgmt0
at mgmt-net m-network 172.16.0.12/24 network mgmt0
at int-net i-network 192.168.100.1/24 network int0
at ext-net e-network 203.0.113.12/24 network ext0
at ext-net e-manager 203.0.113.10/24 manager ext0
at ext-net e-internet 203.0.113.80/24 internet eth0
ip -n compute link add br-int type bridge
ip -n compute link set br-int up
ip link add i-compute type veth peer name uplink netns compute
ip link set i-compute master int-net up
ip -n compute link set uplink master br-int up
cable compute vnet1 - vm1 eth0 192.168.100.11/24
cable compute vnet2 - vm2 eth0 192.168.100.12/24
ip -n compute link set vnet1 master br-int
ip -n compute link set vnet2 master br-int
route vm1 default 192.168.100.1
route vm2 default 192.168.100.1
route manager 192.168.100.0/24 172.16.0.12
route compute 192.168.100.0/24 172.16.0.12
forward network
ip netns exec network nft -f - <<'RULES'
table inet netloom {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "int0" ip daddr 192.168.100.1 accept
    iifname "int0" drop
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "int0" oifname "ext0" accept
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "ext0" ip saddr 192.168.100.0/24 masquerade
  }
}
RULES
`,
};

/** Two hosts with a bridge each, joined across a router by what the two commands make. */
function overlay(subnet: number, first: string, second: string, device: string): string {
  return `
for n in host1 core host2 vm1 vm2 vm3; do host $n; done
cable host1 eth0 198.51.100.2/24 core eth0 198.51.100.1/24
cable core eth1 203.0.113.1/24 host2 eth0 203.0.113.2/24
route host1 default 198.51.100.1
route host2 default 203.0.113.1
forward core
ip -n host1 link add br1 type bridge
ip -n host2 link add br2 type bridge
ip -n host1 link set br1 up
ip -n host2 link set br2 up
${first}
${second}
ip -n host1 link set ${device} master br1 up
ip -n host2 link set ${device} master br2 up
guest() {
  cable $1 $3 - $4 eth0 10.${String(subnet)}.0.$5/24
  ip -n $1 link set $3 mtu 1450
  ip -n $4 link set eth0 mtu 1450
  ip -n $1 link set $3 master $2
}
guest host1 br1 vnet1 vm1 1
guest host1 br1 vnet2 vm2 2
guest host2 br2 vnet3 vm3 3
`;
}
