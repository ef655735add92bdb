#!/bin/sh
# The keeper of a sandbox realm: from `start` to pid 1 of the realm. Protocol and reasons: README.md beside this file.
#
#   sh keeper.sh start --name N --runtime DIR --state DIR --app DIR --node FILE --setup FILE
#     [--keep PATH]... [--seal PATH]... [--cgroup DIR]...
#   sh keeper.sh enter KEEPER COMMAND [ARGUMENT]...
#   sh keeper.sh outside KEEPER pasta|slirp4netns
#
# One file, several stages, because each change of identity needs an exec: a process that enters a user namespace has
# every capability there, loses them at the next exec while no id is mapped, and regains them at an exec afterwards.
#
#   enter     runs a command in a realm, for whoever owns it
#   start     the machine's own namespaces: looks whether this can work at all
#   map       U1 (user) and M1 (mount); waits until the launcher has mapped the ids from outside
#   build     root in U1: starts `first` in the inner namespaces and has M1 furnished for it
#   furnish   root in U1, inside the inner pid and network namespaces: a /proc and a /sys show those of their mounter
#   first     pid 1 of the realm, in U2 (user, child of U1) with its own network, pid, ipc and uts namespaces
#   second    the same, with capabilities in U2
#   hold      the same in M2, a copy of M1: as U2 has less privilege than U1, the kernel locks every mount of M1 in it
#   outside   gives the realm a way out, for whoever owns it; then in U1 and M1, and in the realm's pid namespace:
#   carry     in the machine's network: the program that carries what goes out, and what it needs before it starts
#   border    in a network of its own between that program and the realm: a router that nobody in the realm rules
#
# POSIX sh and util-linux rather than Node: what stays behind costs 2 MB, not 45, and holds no file of the machine open.

stage=$1
shift
# The system's programs come first: somebody's wrapper of `nsenter` has no place here. For the command that enters, the
# order stays as it was given.
given_path=${PATH:-/usr/bin:/bin}
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$given_path:/usr/local/sbin:/usr/local/bin
export PATH

# Leaves with 3: the reason has been given.
fail() {
  code=$1
  shift
  # One line is one message: what a program says on several lines is joined.
  printf 'failed %s %s\n' "$code" "$(printf '%s' "$*" | tr '\n' ' ')"
  exit 3
}

read_options() {
  while [ $# -gt 1 ]; do
    case $1 in
      --runtime) runtime=$2 ;;
      --node) node=$2 ;;
      --setup) setup=$2 ;;
    esac
    shift 2
  done
}

# `close_leaks STAGE ARGUMENT...`: starts the stage again without the descriptors that we inherited. Some ancestor's
# open directory would be a way out of the realm's mounts, for whoever gets at /proc/1/fd; Node closes its own for us,
# but only the first few of those that it inherited.
close_leaks() {
  leaks=
  for entry in /proc/self/fd/*; do
    fd=${entry##*/}
    [ "$fd" -gt 2 ] || continue
    # What has the close-on-exec flag (02000000, octal) is the shell's own.
    while read -r key flags; do
      [ "$key" = flags: ] || continue
      case $flags in *[2367]??????) ;; *) leaks="$leaks $fd" ;; esac
    done 2>/dev/null <"/proc/self/fdinfo/$fd"
  done
  [ -z "$leaks" ] && return
  # dash, unlike bash, can only close descriptors of one digit. With a socket for standard input, as Node makes its
  # pipes, bash takes itself for the shell of a remote login and would read ~/.bashrc: not with these options.
  bash=$(command -v bash) || fail leaked-descriptors "Descriptors$leaks are open and cannot be closed without bash."
  # shellcheck disable=SC2016
  PATH=$given_path exec "$bash" --norc --noprofile -p -c \
    'for fd in $1; do eval "exec $fd>&-"; done; shift; exec /bin/sh "$@"' bash "$leaks" "$0" "$@"
}

# `identity MAP`: the same ids, no others, for a child of the namespace that MAP belongs to.
identity() {
  while read -r inside _ count; do
    printf '%s %s %s\n' "$inside" "$inside" "$count"
  done <"$1"
}

value_of() {
  value=
  [ -r "$1" ] && read -r value <"$1"
  printf '%s' "$value"
}

build() {
  # Opening waits for the other end; with both ends open the name has served.
  exec 5>"$fifo"
  rm -f "$fifo"
  read -r word keeper rest && [ "$word" = first ] ||
    fail inner-namespaces-refused "The inner namespaces were refused: $word $keeper $rest"
  uids=$(identity /proc/self/uid_map)
  gids=$(identity /proc/self/gid_map)
  # A map is taken in one write or not at all.
  printf '%s\n' "$uids" >"/proc/$keeper/uid_map" && printf '%s\n' "$gids" >"/proc/$keeper/gid_map" || {
    kill -9 "$keeper"
    fail inner-map-refused 'The id map of the inner user namespace was refused.'
  }
  echo mapped >&5
  # The list of the machine's listening sockets is read here: inside, /proc/net is the realm's own.
  nsenter --target "$keeper" --pid --net -- sh "$0" furnish "$@" </proc/net/unix || {
    status=$?
    kill -9 "$keeper"
    exit $status
  }
  echo furnished >&5
  read -r word rest && [ "$word" = ready ] || {
    kill -9 "$keeper"
    fail keeper-ended "The keeper ended before it was ready: $word $rest"
  }
  # A name for U1, which no process stays in: `outside` enters by it. After M2 has been copied, so that it is not there;
  # this /proc knows the keeper as 1, and us only inside its pid namespace.
  nsenter --target 1 --pid -- mount --bind /proc/self/ns/user /.gate/user || {
    kill -9 "$keeper"
    fail mount-refused 'The name of the outer user namespace was refused.'
  }
  printf 'ready %s\n' "$keeper"
}

# Sets `gate`: the process that `unshare --fork` waits in, the parent of the keeper. Read from `status`, not `stat`: the
# name in it can be changed inside, and only here it cannot imitate a field.
find_gate() {
  gate=
  while read -r key value; do
    [ "$key" = PPid: ] && gate=$value && break
  done 2>/dev/null <"/proc/$1/status"
  [ -n "$gate" ] && [ "$(readlink "/proc/$gate/ns/user")" = "$(readlink "/proc/$1/ns/user")" ] ||
    fail gate-gone 'The keeper or the process that waits for it has ended.'
}

# Where the way out runs: 192.0.0.0/24 (RFC 6890) is no network's own. The border is .1, the realm .2; on the other side
# .130 is the program's gateway and .228 the border, which is what slirp4netns makes of 192.0.0.128/25.
border_address=192.0.0.1/30
realm_address=192.0.0.2/30
gateway=192.0.0.1
realm_link=internet0

case $stage in
  enter)
    close_leaks enter "$@"
    keeper=$1
    shift
    door=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin && command -v nsenter) ||
      fail missing-tool 'The program nsenter (package util-linux) is not installed.'
    set -- --user --preserve-credentials --mount --net --pid --ipc --uts -- "$@"
    # Between setns and exec the process that enters is in sight of the realm, with the machine's nsenter as its
    # /proc/PID/exe. The uid of the machine's root may write that file, so root starts from M1, where it is read-only
    # and where nobody in the realm can mount anything; the /proc there knows the keeper as 1.
    if [ "$(id -u)" = 0 ]; then
      find_gate "$keeper"
      # /tmp and /run of M1 are those of the realm: nothing from there may become ours.
      unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT
      PATH=$given_path exec "$door" --mount="/proc/$gate/ns/mnt" -- "$door" --target 1 "$@"
    fi
    PATH=$given_path exec "$door" --target "$keeper" "$@"
    ;;

  outside)
    close_leaks outside "$@"
    keeper=$1
    shift
    find_gate "$keeper"
    # In U1 we may join what belongs to U2, and nobody in U2 has a privilege over us, though they see us: we live in
    # their pid namespace, so that the kernel ends us with the keeper.
    unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT
    exec nsenter --user="/proc/$gate/root/.gate/user" --preserve-credentials --mount="/proc/$gate/ns/mnt" \
      --pid="/proc/$keeper/ns/pid" -- sh "$0" carry "$@"
    ;;

  carry)
    program=$1
    umask 077
    cd / || exit 1
    border=/.gate/net
    in_border() {
      nsenter --net=$border -- "$@"
    }
    # What is left of an earlier program: with the network goes its end in the realm.
    umount $border 2>/dev/null
    nsenter --target 1 --net -- ip link delete $realm_link 2>/dev/null
    unshare --net=$border -- sh "$0" border >&2 || fail outside-refused 'The way out of the realm could not be made.'
    # Says so when the program's interface is in the border, and ends when the program has ended. The keeper reaps it.
    ( (
      tries=0
      until in_border ip -4 address show dev outside 2>/dev/null | grep -q 'inet '; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] && kill -0 $$ || exit 1
        sleep 0.05
      done
      echo ready
    ) 2>/dev/null & )
    exec </dev/null >&2
    # No port of the machine leads into the realm. The border speaks IPv4 only.
    case $program in
      pasta)
        exec pasta --foreground --stderr --quiet --runas 0:0 --netns-only --netns $border --no-netns-quit --config-net \
          --ns-ifname outside --ipv4-only --address 192.0.0.228 --netmask 25 --gateway 192.0.0.130 --mtu 1500 \
          --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none --no-map-gw \
          --dns none --search none --no-dhcp --no-dhcpv6 --no-ndp --no-ra
        ;;
      slirp4netns)
        exec slirp4netns --configure --mtu=1500 --cidr=192.0.0.128/25 --disable-host-loopback --disable-dns \
          --netns-type=path $border outside
        ;;
    esac
    ;;

  border)
    set -e
    # Packets for 127.0.0.0/8 and 0.0.0.0 that somebody crafts in the realm would have pasta connect to the machine's
    # own listeners. A router drops them where they come in (ip_route_input), whatever they are made of.
    ip link add inside type veth peer name $realm_link netns /proc/1/ns/net
    ip address add $border_address dev inside
    ip link set inside up
    echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet
    echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
    echo 1 >/proc/sys/net/ipv4/ip_forward
    # For the program's interface, which is still to come: it asks who has the realm's address.
    echo 1 >/proc/sys/net/ipv4/conf/default/proxy_arp
    nsenter --target 1 --net -- sh "$0" arrive
    ;;

  arrive)
    set -e
    ip address add $realm_address dev $realm_link
    ip link set $realm_link up
    ip route add default via $gateway dev $realm_link
    ;;

  start)
    close_leaks start "$@"
    export LC_ALL=C
    umask 022
    for tool in unshare nsenter setsid mkfifo pivot_root umount rm tr; do
      command -v "$tool" >/dev/null || fail missing-tool "The program $tool (package util-linux) is not installed."
    done
    [ "$(value_of /proc/sys/user/max_user_namespaces)" = 0 ] &&
      fail user-namespaces-off 'User namespaces are switched off (sysctl user.max_user_namespaces is 0).'
    # What the stages say on stderr is kept: it is the reason, should they end without one.
    exec 3>&1
    why=$(unshare --user --mount -- sh "$0" map "$@" 2>&1 1>&3 3>&-)
    status=$?
    [ $status = 0 ] && exit 0
    [ $status = 3 ] && exit 3
    case $why in
      unshare:*)
        [ "$(value_of /proc/sys/kernel/unprivileged_userns_clone)" = 0 ] && [ "$(id -u)" != 0 ] &&
          fail user-namespaces-off \
            'User namespaces are switched off for ordinary users (sysctl kernel.unprivileged_userns_clone is 0).'
        [ "$(value_of /proc/sys/kernel/apparmor_restrict_unprivileged_userns)" = 1 ] && [ "$(id -u)" != 0 ] &&
          fail user-namespaces-apparmor \
            'AppArmor restricts user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns is 1).'
        fail user-namespaces-refused "The kernel refused a user namespace: $why"
        ;;
    esac
    fail start-failed "The realm could not be made: $why"
    ;;

  map)
    # /proc is still the machine's, so this is the pid by which the launcher knows us.
    read -r pid _ </proc/self/stat
    printf 'map %s\n' "$pid"
    read -r answer && [ "$answer" = mapped ] || exit 3
    exec sh "$0" build "$@"
    ;;

  build)
    trap '' PIPE
    read_options "$@"
    fifo=$runtime/keeper.fifo
    rm -f "$fifo"
    mkfifo -m 600 "$fifo" || fail runtime-not-writable "The runtime directory $runtime cannot be written."
    # setsid: the realm outlives the terminal. What remains of this line is the process that `unshare --fork` waits in:
    # it reaps the keeper, is seen by nobody in the realm, and is root's door into it (README.md, "gate"). It holds
    # nothing of the launcher's: its input is the fifo, its output our pipe.
    setsid unshare --user --net --pid --ipc --uts --fork -- sh "$0" first "$@" <"$fifo" 2>&1 | build "$@"
    ;;

  furnish)
    read_options "$@"
    "$node" "$setup" "$@" || exit $?
    # setup has furnished a new root on /sys/kernel. The old one goes as a whole: nothing of the machine stays under a
    # mount of ours, and no stick or share of the person's is kept busy by a realm.
    why=$(pivot_root /sys/kernel /sys/kernel/mnt 2>&1) || fail root-refused "The new root was refused: $why"
    why=$(umount -l /mnt 2>&1) || fail root-refused "The old root could not be left: $why"
    ;;

  first)
    read -r pid _ </proc/self/stat
    printf 'first %s\n' "$pid"
    read -r answer && [ "$answer" = mapped ] || exit 1
    exec sh "$0" second "$@"
    ;;

  second)
    read -r answer && [ "$answer" = furnished ] || exit 1
    cd / || exit 1
    exec unshare --mount -- sh "$0" hold "$@"
    ;;

  hold)
    cd / || exit 1
    # A pid 1 hears only the signals it has a handler for (SIGKILL from outside apart).
    trap 'exit 0' TERM
    # Opened in M2: descriptors from M1 would be a way out of the locked mounts.
    exec 3>&1 </dev/null >/dev/null 2>&1
    echo ready >&3
    exec 3>&-
    # wait(1) of the shell reaps every child, those adopted from others too, and is interrupted by the trap at once.
    while :; do
      sleep 2147483647 &
      wait $!
    done
    ;;

  *)
    fail usage "There is no stage $stage."
    ;;
esac
