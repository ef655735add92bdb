/**
 * The text of the watchdog: a process of its own that takes a change back unless it is confirmed in time. Pure.
 *
 * It is a shell script, so that nothing of ours has to be there any more when it is needed: no agent, no Node, no file
 * of the program. Its time is that of /proc/uptime, which is CLOCK_BOOTTIME: it counts on while the machine sleeps.
 * `deadline.ts` writes and reads the files of its directory.
 */
import { ownershipMark, ownershipProtocol } from '../api/names.ts';
import { cautiousContext, commandsOf, word } from '../lab/command.ts';
import { inverseOf } from '../lab/inverse.ts';
import { isCpuOperation, type Operation } from '../lab/operation.ts';

/** Names in the directory of a deadline. */
export const deadlineFiles = {
  /** One of the following three is there; whoever renames the first has decided. */
  pending: 'pending',
  confirmed: 'confirmed',
  reverting: 'reverting',
  /** Seconds of CLOCK_BOOTTIME, an integer. */
  deadline: 'deadline',
  /** Pid and start time of the agent that sees to the change. */
  agent: 'agent',
  /** Pid and start time of the watchdog, written by itself. */
  ready: 'ready',
  /** Everything is taken back, as far as it could be. */
  done: 'done',
  watchdog: 'watchdog.sh',
  revert: 'revert.sh',
  log: 'revert.log',
} as const;

const files = deadlineFiles;

/** Seconds that an agent which takes a change back may need before the watchdog does it, too. */
const agentPatience = 120;

/** Takes a directory as its argument. Ends when the change is settled. */
export const watchdogScript = `#!/bin/sh
# Takes a change of Netloom back unless it is confirmed in time: see ${files.revert} for what would be done.
cd "$1" || exit 1
umask 077
trap '' HUP INT

start_of() {
  stat=
  { read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 1
  set -- \${stat##*) }
  # What has ended and waits for its parent does nothing more.
  [ "$1" = Z ] || [ "$1" = X ] || printf '%s' "\${20}"
}

agent_lives() {
  agent= start=
  { read -r agent start < ${files.agent}; } 2>/dev/null
  [ -n "$agent" ] && [ "$(start_of "$agent")" = "$start" ]
}

now() {
  read -r uptime rest < /proc/uptime
  printf '%s' "\${uptime%.*}"
}

take_back() {
  sh ./${files.revert} >> ${files.log} 2>&1
  now > ${files.done}.new && mv ${files.done}.new ${files.done}
  sync . 2>/dev/null
  exit 0
}

printf '%s %s\\n' "$$" "$(start_of "$$")" > ${files.ready}.new
mv ${files.ready}.new ${files.ready} || exit 1

waits=0
while [ -e ${files.deadline} ] && [ ! -e ${files.confirmed} ] && [ ! -e ${files.done} ]; do
  if [ -e ${files.reverting} ]; then
    # The agent is at it. Should it die or come to nothing, this goes on in its place.
    waits=$((waits + 1))
    [ "$waits" -lt ${agentPatience} ] && agent_lives || take_back
  else
    end=
    { read -r end < ${files.deadline}; } 2>/dev/null
    # An agent that lives does it better, and first.
    [ -z "$end" ] || ! agent_lives || end=$((end + 2))
    if [ -n "$end" ] && [ "$(now)" -ge "$end" ]; then
      mv ${files.pending} ${files.reverting} 2>/dev/null && take_back
    fi
  fi
  sleep 1
done
`;

/**
 * Commands that take operations back, last one first, each for itself: what did not take effect or is undone already
 * fails without a consequence.
 */
export function revertScript(lab: string, operations: readonly Operation[]): string {
  const inverses = [...operations].reverse().flatMap(inverseOf);
  const commands = inverses.flatMap((inverse) => commandsOfInverse(lab, inverse));
  return `#!/bin/sh\n# Takes a change of lab ${lab} back.\nset -x\n${commands.map((command) => `${command}\n`).join('')}:\n`;
}

/** With the marks that the commands of a plan leave out: what comes back is ours as it was. */
function commandsOfInverse(lab: string, operation: Operation): readonly string[] {
  // CPU groups cut nobody off: the next agent takes them back, in the hierarchies that it finds.
  if (isCpuOperation(operation)) return [];
  const commands = commandsOf(operation, cautiousContext);
  switch (operation.kind) {
    case 'add-namespace':
      return [...commands, markOf(lab, operation.name, 'lo')];
    case 'add-bridge':
    case 'add-device':
      return [...commands, markOf(lab, operation.namespace, operation.name)];
    case 'add-veth':
      return [...commands, ...operation.ends.map((end) => markOf(lab, end.namespace, end.name))];
    case 'add-route':
      return operation.foreign === true
        ? commands
        : commands.map((command) => `${command} proto ${ownershipProtocol}`);
    case 'start-process':
      // The words of a document, which must not run as root, where this does: the next agent starts it as whose it was.
      return [];
    default:
      return commands;
  }
}

function markOf(lab: string, namespace: string | null, name: string): string {
  const place = namespace === null ? '' : `ip netns exec ${word(namespace)} `;
  return `${place}ip link set dev ${word(name)} alias ${word(ownershipMark(lab))}`;
}
