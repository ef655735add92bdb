"""One of Mininet's topologies of Open vSwitch bridges. Prints the milliseconds until it is up, and until it is down again.

    mininet-switches.py linear COUNT | torus SIDE SIDE

To be run where an Open vSwitch of its own is at the system's place.
"""

import sys
import time

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import LinearTopo
from mininet.topolib import TorusTopo

kind, *sizes = sys.argv[1:]
topology = {'linear': LinearTopo, 'torus': TorusTopo}[kind](*map(int, sizes))


def switch(name, **options):
    """A bridge of the userspace datapath, all of them started by as few ovs-vsctl as possible; a torus has loops."""
    return OVSBridge(name, datapath='user', batch=True, stp=kind == 'torus', **options)


setLogLevel('error')
OVSBridge.setup()
start = time.monotonic()
net = Mininet(topo=topology, switch=switch, controller=None, waitConnected=False)
net.start()
up = time.monotonic()
net.stop()
print((up - start) * 1000, (time.monotonic() - up) * 1000)
