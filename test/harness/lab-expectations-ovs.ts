/** The gallery's labs of Open vSwitch written by hand, after `realmScript` of lab-expectations.ts. */

/** What these scripts share. */
const switchScript = `
# A private Open vSwitch: "home" for the network's own namespace, or a namespace's; by itself with the userspace datapath,
# or the one of $usual.
engine() {
  d=/run/switches/$1
  mkdir -p $d
  there=
  [ $1 = home ] || there="ip netns exec $1"
  daemon="--detach --no-chdir -vconsole:off -vsyslog:off --log-file"
  ovsdb-tool create $d/conf.db /usr/share/openvswitch/vswitch.ovsschema
  OVS_RUNDIR=$d OVS_LOGDIR=$d $there ovsdb-server $d/conf.db --remote=punix:$d/db.sock --pidfile $daemon
  ovs-vsctl --db=unix:$d/db.sock --no-wait init
  OVS_RUNDIR=$d OVS_LOGDIR=$d $there ovs-vswitchd unix:$d/db.sock $([ "\${2:-$usual}" = system ] || echo --disable-system) --pidfile $daemon
}
vsctl() { e=$1; shift; ovs-vsctl --db=unix:/run/switches/$e/db.sock "$@"; }
up() { if [ $1 = home ]; then ip link set $2 up; else ip -n $1 link set $2 up; fi; }
# A bridge and what follows in the same transaction: ENGINE BRIDGE.
new() {
  home=$1 name=$2
  shift 2
  # There has to be a column that is set, be it to what it is.
  datapath=protocols=[]
  [ "$usual" = system ] || datapath=datapath_type=netdev
  vsctl $home add-br $name -- set Bridge $name $datapath "$@"
  up $home $name
}
flow() { ovs-ofctl -O OpenFlow15 add-flow unix:/run/switches/home/$1.mgmt "$2"; }
# A host with its address, and what is to become a port: PORT ADDRESS HOST INTERFACE.
port() {
  ip link add "$1" type veth peer name "$4" netns "$3"
  number "$2" "$3" "$4"
  ip link set "$1" up
  ip -n "$3" link set "$4" up
}
# A cable between two ports.
join() { ip link add $1 type veth peer name $2; ip link set $1 up; ip link set $2 up; }
mtu() { ip -n $1 link set $2 mtu $3; }
`;

const scripts: Readonly<Record<string, string>> = {
  'ovs-access-trunk.yaml': `
for n in server red blue green; do host $n; done
port p-red 192.168.10.2/24 red eth0
port p-blue 192.168.20.2/24 blue eth0
port p-green 192.168.30.2/24 green eth0
port trunk - server to-sw
engine home
engine server
new home sw -- add-port sw p-red tag=10 -- add-port sw p-blue tag=20 -- add-port sw p-green tag=30 \\
  -- add-port sw trunk trunks=10,20
new server inner -- add-port inner to-sw trunks=10,20,30
for v in 10 20 30; do
  vsctl server add-port inner vlan$v tag=$v -- set Interface vlan$v type=internal
  number 192.168.$v.1/24 server vlan$v
  up server vlan$v
done
`,
  'ovs-native-vlan.yaml': `
for n in desk office pc guest phone1 phone2; do host $n; done
port p-desk 10.0.0.1/24 desk eth0
port p-office 10.0.0.2/24 office eth0
port p-pc 10.0.0.3/24 pc eth0
port strict 10.0.0.4/24 guest eth0
port p-phone1 10.0.0.5/24 phone1 eth0
port p-phone2 10.0.0.6/24 phone2 eth0
join to-sw2 to-sw1
engine home
new home sw1 -- add-port sw1 p-desk tag=10 -- add-port sw1 p-phone1 tag=20 \\
  -- add-port sw1 p-pc tag=10 trunks=20 vlan_mode=native-untagged \\
  -- add-port sw1 strict tag=10 trunks=20 vlan_mode=native-tagged \\
  -- add-port sw1 to-sw2 tag=10 trunks=20 vlan_mode=native-untagged
new home sw2 -- add-port sw2 p-office tag=10 -- add-port sw2 p-phone2 tag=20 \\
  -- add-port sw2 to-sw1 tag=10 trunks=20 vlan_mode=native-untagged
`,
  'ovs-vlan-isolation.yaml': `
for n in red1 red2 blue1 blue2; do host $n; done
port p-red1 10.0.0.1/24 red1 eth0
port p-red2 10.0.0.2/24 red2 eth0
port p-blue1 10.0.0.3/24 blue1 eth0
port p-blue2 10.0.0.4/24 blue2 eth0
join to-sw2 to-sw1
engine home
new home sw1 -- add-port sw1 p-red1 tag=10 -- add-port sw1 p-blue1 tag=20 -- add-port sw1 to-sw2 trunks=10,20
new home sw2 -- add-port sw2 p-red2 tag=10 -- add-port sw2 p-blue2 tag=20 -- add-port sw2 to-sw1 trunks=10,20
`,
  'ovs-layer-3-switch.yaml': `
for n in core red blue green1 green2; do host $n; done
cable core p-red - red eth0 192.168.10.2/24
cable core p-blue - blue eth0 192.168.20.2/24
cable core p-green1 - green1 eth0 192.168.30.2/24
cable core p-green2 - green2 eth0 192.168.30.3/24
engine core
new core sw -- add-port sw p-red tag=10 -- add-port sw p-blue tag=20 \\
  -- add-port sw p-green1 tag=30 -- add-port sw p-green2 tag=30
for v in 10 20; do
  vsctl core add-port sw vlan$v tag=$v -- set Interface vlan$v type=internal
  number 192.168.$v.1/24 core vlan$v
  up core vlan$v
done
route red default 192.168.10.1
route blue default 192.168.20.1
route green1 default 192.168.30.1
forward core
`,
  'ovs-mirror.yaml': `
for n in h1 h2 h3 monitor; do host $n; done
port p-h1 10.0.0.1/24 h1 eth0
port p-h2 10.0.0.2/24 h2 eth0
port p-h3 10.0.0.3/24 h3 eth0
port p-mon 10.0.0.9/24 monitor eth0
engine home
new home sw -- add-port sw p-h1 -- add-port sw p-h2 -- add-port sw p-h3 -- add-port sw p-mon
vsctl home -- --id=@watched get Port p-h1 -- --id=@watcher get Port p-mon \\
  -- --id=@m create Mirror name=of-h1 select_src_port=@watched select_dst_port=@watched output_port=@watcher \\
  -- set Bridge sw mirrors=@m
`,
  'ovs-bond.yaml': `
for n in h1 h2 h3; do host $n; done
port p-h1 10.0.0.1/24 h1 eth0
port p-h2 10.0.0.2/24 h2 eth0
port p-h3 10.0.0.3/24 h3 eth0
join m-left l-sw
join m-right r-sw
join l-right r-left
ip link set l-sw down
engine home
new home sw -- add-port sw p-h1 -- add-bond sw bond0 m-left m-right bond_mode=active-backup
new home left -- add-port left l-sw -- add-port left l-right -- add-port left p-h2
new home right -- add-port right r-sw -- add-port right r-left -- add-port right p-h3
`,
  'ovs-lacp.yaml': `
for n in h1 h2 h3; do host $n; done
port p-h1 10.0.0.1/24 h1 eth0
port p-h2 10.0.0.2/24 h2 eth0
port p-h3 10.0.0.3/24 h3 eth0
join a1 b1
join a2 b2
join c1 d1
join c2 d2
engine home
new home sw1 -- add-port sw1 p-h1 \\
  -- add-bond sw1 bond1 a1 a2 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast \\
  -- add-bond sw1 bond3 c1 c2 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast
new home sw2 -- add-port sw2 p-h2 \\
  -- add-bond sw2 bond2 b1 b2 bond_mode=balance-tcp lacp=passive other_config:lacp-time=fast
new home far -- add-port far p-h3 -- add-bond far bond4 d1 d2 bond_mode=balance-slb
`,
  'ovs-rstp-ring.yaml': `
for n in h1 h2 h3; do host $n; done
port p-h1 10.0.0.1/24 h1 eth0
port p-h2 10.0.0.2/24 h2 eth0
port p-h3 10.0.0.3/24 h3 eth0
join r12 r21
join r23 r32
join r31 r13
engine home
new home sw1 rstp_enable=true other_config:rstp-priority=4096 -- add-port sw1 r12 -- add-port sw1 r13 -- add-port sw1 p-h1
new home sw2 rstp_enable=true other_config:rstp-priority=8192 -- add-port sw2 r21 -- add-port sw2 r23 -- add-port sw2 p-h2
new home sw3 rstp_enable=true -- add-port sw3 r31 -- add-port sw3 r32 -- add-port sw3 p-h3
`,
  'ovs-leaf-spine.yaml': `
for n in red1 red2 blue2 blue3; do host $n; done
port p-red1 10.0.0.1/24 red1 eth0
port p-red2 10.0.0.2/24 red2 eth0
port p-blue2 10.0.0.3/24 blue2 eth0
port p-blue3 10.0.0.4/24 blue3 eth0
for leaf in 1 2 3; do for spine in 1 2; do join l\${leaf}s$spine s\${spine}l$leaf; done; done
engine home
new home spine1 rstp_enable=true other_config:rstp-priority=4096 \\
  -- add-port spine1 s1l1 -- add-port spine1 s1l2 -- add-port spine1 s1l3
new home spine2 rstp_enable=true other_config:rstp-priority=8192 \\
  -- add-port spine2 s2l1 -- add-port spine2 s2l2 -- add-port spine2 s2l3
for leaf in 1 2 3; do
  new home leaf$leaf rstp_enable=true -- add-port leaf$leaf l\${leaf}s1 -- add-port leaf$leaf l\${leaf}s2
done
vsctl home add-port leaf1 p-red1 tag=10
vsctl home add-port leaf2 p-red2 tag=10
vsctl home add-port leaf2 p-blue2 tag=20
vsctl home add-port leaf3 p-blue3 tag=20
`,
  'ovs-qos.yaml': `
for n in server slow metered; do host $n; done
port p-server 10.0.0.1/24 server eth0
port p-slow 10.0.0.2/24 slow eth0
port p-metered 10.0.0.3/24 metered eth0
engine home
new home sw -- add-port sw p-server -- set Interface p-server ofport_request=1 \\
  -- add-port sw p-slow -- set Interface p-slow ofport_request=2 \\
  -- add-port sw p-metered -- set Interface p-metered ofport_request=3 \\
  -- --id=@q create QoS type=linux-htb other_config:max-rate=10000000 -- set Port p-slow qos=@q
ovs-ofctl -O OpenFlow13 add-meter unix:/run/switches/home/sw.mgmt \\
  meter=1,kbps,burst,band=type=drop,rate=5000,burst_size=500
flow sw priority=10,in_port=3,actions=meter:1,normal
`,
  'ovs-policing.yaml': `
# Fails where the kernel does not have the datapath.
ovs-dpctl add-dp probe
ovs-dpctl del-dp probe
for n in server voice bulk noisy; do host $n; done
port p-server 10.0.0.1/24 server eth0
port p-voice 10.0.0.2/24 voice eth0
port p-bulk 10.0.0.3/24 bulk eth0
port p-noisy 10.0.0.4/24 noisy eth0
engine home system
vsctl home add-br sw -- add-port sw p-voice -- add-port sw p-bulk -- add-port sw p-server -- add-port sw p-noisy \\
  -- set Interface p-noisy ingress_policing_rate=3000 ingress_policing_burst=300 \\
  -- --id=@one create Queue other_config:max-rate=30000000 -- --id=@two create Queue other_config:max-rate=6000000 \\
  -- --id=@q create QoS type=linux-htb other_config:max-rate=200000000 queues:1=@one queues:2=@two \\
  -- set Port p-server qos=@q
up home sw
flow sw priority=10,in_port=p-voice,actions=set_queue:1,normal
flow sw priority=10,in_port=p-bulk,actions=set_queue:2,normal
`,
  'ovs-openflow.yaml': `
for n in client1 client2 server1 server2 intruder; do host $n; done
port p-client1 10.0.0.1/24 client1 eth0
port p-client2 10.0.0.2/24 client2 eth0
port p-intruder 10.0.0.66/24 intruder eth0
for n in 1 2; do
  ip link add p-server$n type veth peer name eth0 address 02:00:00:00:00:1$n netns server$n
  number 10.0.0.1$n/24 server$n eth0
  up home p-server$n
  up server$n eth0
done
engine home
new home sw fail_mode=secure -- add-port sw p-client1 -- set Interface p-client1 ofport_request=1 \\
  -- add-port sw p-client2 -- set Interface p-client2 ofport_request=2 \\
  -- add-port sw p-server1 -- set Interface p-server1 ofport_request=3 \\
  -- add-port sw p-server2 -- set Interface p-server2 ofport_request=4 \\
  -- add-port sw p-intruder -- set Interface p-intruder ofport_request=5
ovs-ofctl -O OpenFlow15 add-group unix:/run/switches/home/sw.mgmt 'group_id=1,type=select,
  selection_method=hash,fields(ip_src),
  bucket=bucket_id:0,actions=set_field:02:00:00:00:00:11->eth_dst,set_field:10.0.0.11->ip_dst,output:3,
  bucket=bucket_id:1,actions=set_field:02:00:00:00:00:12->eth_dst,set_field:10.0.0.12->ip_dst,output:4'
flow sw 'priority=100,in_port=p-intruder,actions=drop'
flow sw 'priority=90,arp,arp_tpa=10.0.0.100,arp_op=1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],
  set_field:02:00:00:00:00:64->eth_src,set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],
  move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:02:00:00:00:00:64->arp_sha,set_field:10.0.0.100->arp_spa,in_port'
flow sw 'priority=80,arp,actions=normal'
flow sw 'priority=70,ip,nw_dst=10.0.0.100,actions=group:1'
for n in 1 2; do
  flow sw priority=60,ip,in_port=p-server$n,actions='set_field:10.0.0.100->ip_src,set_field:02:00:00:00:00:64->eth_src,normal'
done
`,
  'ovs-flow-export.yaml': `
for n in h1 h2 h3 h4 collector; do host $n; done
ip link add mgmt type bridge
ip address add 192.0.2.1/24 dev mgmt
ip link set mgmt up
at mgmt p-collector 192.0.2.2/24 collector eth0
for n in 1 2 3 4; do port p-h$n 10.0.0.$n/24 h$n eth0; done
run collector netloom collect --netflow 2055 --ipfix 4739 --sflow 6343
# Only then it is known by its own name.
until ip netns exec collector ss -Hlun | grep -q :6343; do sleep 0.1; done
engine home
new home sw -- add-port sw p-h1 -- add-port sw p-h2 \\
  -- --id=@n create NetFlow targets='"192.0.2.2:2055"' active_timeout=1 \\
  -- --id=@i create IPFIX targets='"192.0.2.2:4739"' sampling=1 cache_active_timeout=1 \\
  -- --id=@s create sFlow targets='"192.0.2.2:6343"' sampling=1 polling=1 \\
  -- set Bridge sw netflow=@n ipfix=@i sflow=@s
new home quiet -- add-port quiet p-h3 -- add-port quiet p-h4
`,
  'ovs-gre.yaml': `
for n in m1 m2 red1 red2 blue1 blue2; do host $n; done
cable m1 eth0 - m2 eth0 -
cable m1 p-red - red1 eth0 10.0.0.1/24
cable m2 p-red - red2 eth0 10.0.0.2/24
cable m1 p-blue - blue1 eth0 10.0.0.3/24
cable m2 p-blue - blue2 eth0 10.0.0.4/24
for n in red1 red2 blue1 blue2; do mtu $n eth0 1450; done
for n in 1 2; do
  far=$((3 - n))
  mtu m$n p-red 1450
  mtu m$n p-blue 1450
  engine m$n
  new m$n ex$n -- add-port ex$n eth0
  number 192.0.2.$n/24 m$n ex$n
  tunnel="type=gre options:local_ip=192.0.2.$n options:remote_ip=192.0.2.$far"
  new m$n red-br$n -- add-port red-br$n p-red \\
    -- add-port red-br$n red-gre -- set Interface red-gre $tunnel options:key=10
  new m$n blue-br$n -- add-port blue-br$n p-blue \\
    -- add-port blue-br$n blue-gre -- set Interface blue-gre $tunnel options:key=20
done
`,
  'ovs-vxlan-fabric.yaml': `
for n in m1 m2 m3 vm1 vm2 vm3; do host $n; done
ip link add net type bridge
ip link set net up
for n in 1 2 3; do
  at net p$n 192.0.2.$n/24 m$n eth0
  ip -n m$n address flush dev eth0
  cable vm$n eth0 10.0.0.$n/24 m$n p-vm -
  mtu vm$n eth0 1450
  mtu m$n p-vm 1450
  engine m$n
  new m$n ex$n -- add-port ex$n eth0
  number 192.0.2.$n/24 m$n ex$n
  new m$n int$n -- add-port int$n p-vm
done
to() { vsctl m$1 add-port int$1 to-m$2 -- set Interface to-m$2 type=vxlan options:remote_ip=192.0.2.$2 options:key=100; }
to 1 2
to 1 3
to 2 1
to 3 1
`,
  'ovs-three-node-site.yaml': `
for n in manager compute network internet red1 red2 blue1 router; do host $n; done
for b in mgmt-net int-net ext-net; do ip link add $b type bridge; ip link set $b up; done
at mgmt-net p-manager 172.16.0.10/24 manager mgmt0
at mgmt-net p-compute 172.16.0.11/24 compute mgmt0
at mgmt-net p-network 172.16.0.12/24 network mgmt0
at ext-net e-internet 203.0.113.1/24 internet eth0
# Their addresses sit on the bridges that have them.
nic() {
  ip link add $2 type veth peer name $4 netns $3
  ip link set $2 master $1 up
  up $3 $4
}
nic int-net i-compute compute int0
nic int-net i-network network int0
nic ext-net e-network network ext0
cable compute p-red1 - red1 eth0 10.1.0.11/24
cable compute p-red2 - red2 eth0 10.1.0.12/24
cable compute p-blue1 - blue1 eth0 10.1.0.21/24
cable network p-router - router qr 10.1.0.1/24
cable network p-router-ex - router qg 203.0.113.12/24
for n in red1 red2 blue1; do mtu $n eth0 1400; mtu compute p-$n 1400; route $n default 10.1.0.1; done
mtu router qr 1400
mtu network p-router 1400
# phy has the NIC of the internal network, tun the tunnel, int what is inside: NODE LETTER OWN THE-OTHER TUNNEL.
machine() {
  engine $1
  new $1 phy-$2 -- add-port phy-$2 int0
  number 192.0.2.$3/24 $1 phy-$2
  new $1 tun-$2 -- add-port tun-$2 $5 \\
    -- set Interface $5 type=vxlan options:local_ip=192.0.2.$3 options:remote_ip=192.0.2.$4 options:key=1
  new $1 int-$2 -- add-port int-$2 patch-tun -- set Interface patch-tun type=patch options:peer=patch-int \\
    -- add-port tun-$2 patch-int -- set Interface patch-int type=patch options:peer=patch-tun
}
machine compute c 11 12 to-network
machine network n 12 11 to-compute
vsctl compute add-port int-c p-red1 tag=1 -- add-port int-c p-red2 tag=1 -- add-port int-c p-blue1 tag=2
vsctl network add-port int-n p-router tag=1
new network ext-n -- add-port ext-n ext0 -- add-port ext-n p-router-ex
forward router
ip netns exec router nft -f - <<'RULES'
table inet netloom {
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "qg" ip saddr 10.1.0.0/24 masquerade
  }
}
RULES
`,
};

export const switchLabScripts: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(scripts).map(([file, script]) => [file, switchScript + script]),
);
