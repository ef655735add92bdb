/**
 * `npm run bench`: the figures that Netloom promises, side by side in one run. Everything is measured in namespaces
 * of its own. On a machine that does other work the figures mean little: it says so.
 *
 *     npm run bench [-- --hosts N] [--switches N] [--runs N] [--no-mininet] [--packets N] [--groups N] [--only hosts|switches|packets|cpu|rest]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '200' },
    switches: { type: 'string', default: '200' },
    packets: { type: 'string', default: '200000' },
    groups: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '3' },
    'no-mininet': { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const hosts = Number(values.hosts);
const switches = Number(values.switches);
const runs = Number(values.runs);
const isRoot = process.getuid?.() === 0;
/** Packets a second on a wire, and for how many seconds. */
const liveRate = 300_000;
const liveSeconds = 10;

const note = (text) => process.stderr.write(`${text}\n`);

/** Runs a program; gives its standard output, throws when it fails. */
function run(file, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: 600_000,
    ...options,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${file} ${args.slice(0, 4).join(' ')}: ${stderr}`);
  return stdout;
}

function median(list) {
  const sorted = [...list].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)];
}

// The sources are TypeScript, and native packages are found from where the bundle lies.
const program = path.join(root, 'dist/bench/contestants.mjs');
async function bundle() {
  const require = createRequire(path.join(root, 'node_modules/vite/package.json'));
  const { rolldown } = await import(pathToFileURL(require.resolve('rolldown')).href);
  const build = await rolldown({
    input: path.join(root, 'test/bench/contestants.ts'),
    platform: 'node',
    external: ['koffi', 'zeromq', 'playwright-core'],
  });
  await build.write({ file: program, format: 'esm' });
}

const node = (...args) => JSON.parse(run(process.execPath, [program, ...args.map(String)]));

/** An empty realm as long as `work` runs; commands enter it as Netloom's own do. */
async function inRealm(name, work) {
  const holder = spawn(process.execPath, [program, 'realm', root, name], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => holder.once('close', resolve));
  try {
    const line = await new Promise((resolve, reject) => {
      holder.stdout.once('data', (chunk) => resolve(chunk.toString()));
      holder.once('close', () => reject(new Error(`no realm ${name}`)));
    });
    const { keeper } = JSON.parse(line);
    const enter = [path.join(root, 'dist/agent/keeper.sh'), 'enter', String(keeper)];
    return await work((command, options = {}) =>
      run('sh', [...enter, ...command], { cwd: '/', ...options }),
    );
  } finally {
    holder.stdin.end();
    await ended;
  }
}

async function repeat(name, work) {
  const times = [];
  for (let index = 0; index < runs; index += 1) {
    times.push(await inRealm(`${name}-${String(index)}`, work));
  }
  return times;
}

async function bare() {
  return repeat('bare', (enter) => {
    const [{ total }] = JSON.parse(enter([process.execPath, program, 'bare', String(hosts)]));
    return total;
  });
}

/** All that iproute2 does in one process, then one process a namespace for what is inside. */
async function ipBatch() {
  const list = Array.from({ length: hosts }, (_, index) => ({
    name: `h${index}`,
    port: `p${index}`,
    address: `10.100.${Math.floor(index / 250)}.${(index % 250) + 1}/8`,
  }));
  const outer = [
    'link add hub type bridge',
    'link set hub up',
    ...list.flatMap(({ name, port }) => [
      `netns add ${name}`,
      `link add ${port} type veth peer name eth0 netns ${name}`,
      `link set ${port} master hub up`,
    ]),
  ].join('\n');
  const script = [
    "ip -batch - <<'END'",
    outer,
    'END',
    ...list.map(
      ({ name, address }) =>
        `printf 'address add ${address} dev eth0\\nlink set lo up\\nlink set eth0 up\\n' | ip -n ${name} -batch -`,
    ),
  ].join('\n');
  const timed = `s=$(date +%s%N)\n${script}\ne=$(date +%s%N)\necho $(( (e - s) / 1000 ))`;
  return repeat('batch', (enter) => Number(enter(['sh', '-e'], { input: timed })) / 1000);
}

/** Why Mininet cannot be measured; otherwise the Python that has it. */
function findMininet(program, packages) {
  if (values['no-mininet']) return { lacking: 'left out' };
  if (!isRoot) return { lacking: 'it needs root' };
  const python = ['/usr/bin/python3', 'python3'].find(
    (file) => spawnSync(file, ['-c', 'import mininet.nodelib']).status === 0,
  );
  const isThere = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  if (python !== undefined && isThere) return { python };
  return { lacking: `not installed (apt-get install mininet ${packages})` };
}

/**
 * What a Python program that uses Mininet prints, of each run a list of numbers. It runs in namespaces of its own, also of
 * processes, with a /proc/sys that cannot be written: Mininet raises limits of the whole machine. Never `mn -c`, which
 * ends processes by their names. `prepare` is a command of sh that is not measured.
 */
function mininet({ python, lacking }, program, args, prepare = 'true') {
  if (lacking !== undefined) return lacking;
  const script = [
    'mount -t tmpfs tmpfs /run',
    'mount -t sysfs sysfs /sys',
    'mount --bind /proc/sys /proc/sys',
    'mount -o remount,bind,ro /proc/sys',
    'ip link set lo up',
    prepare,
    'exec "$@"',
  ].join(' && ');
  const words = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const measure = [python, path.join(root, 'test/bench', program), ...args.map(String)];
  const enter = [...words, '--propagation', 'private', 'sh', '-c', script, 'sh', ...measure];
  try {
    return Array.from({ length: runs }, () =>
      run('unshare', enter).trim().split(/\s+/).map(Number),
    );
  } catch (error) {
    return `it could not be run: ${String(error.message).trim().split('\n').at(-1)}`;
  }
}

/** Milliseconds of a second `npm start` to its ready line. */
async function startUp() {
  const home = mkdtempSync(path.join(tmpdir(), 'netloom-start-'));
  const env = {
    ...process.env,
    NETLOOM_SHELL: 'browser',
    XDG_RUNTIME_DIR: home,
    XDG_STATE_HOME: path.join(home, 'state'),
    XDG_DATA_HOME: path.join(home, 'data'),
    XDG_CONFIG_HOME: path.join(home, 'config'),
  };
  const once = () =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const child = spawn(
        process.execPath,
        [path.join(root, 'main/start/start.mjs'), '--no-open'],
        { cwd: root, env, stdio: ['ignore', 'pipe', 'ignore'] },
      );
      let took = null;
      const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
      child.stdout.on('data', (chunk) => {
        if (took !== null || !chunk.toString().includes('Netloom is ready at')) return;
        took = performance.now() - start;
        child.kill('SIGTERM');
      });
      child.once('close', () => {
        clearTimeout(timer);
        if (took === null) reject(new Error('npm start came to no ready line'));
        else resolve(took);
      });
    });
  try {
    await once();
    const times = [];
    for (let index = 0; index < runs; index += 1) times.push(await once());
    return times;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The greatest part of a core that watching may cost an agent. */
const watchLimit = 0.02;
/** Seconds that each is measured. */
const watchSeconds = 20;

async function benchCpu() {
  const count = Number(values.groups);
  console.log(`\n${count} CPU groups, watched by one client, in processor time of the agent:`);
  if (!isRoot) {
    console.log('The agent of the host is root’s: not measured.');
    return true;
  }
  const own = 'mount -t tmpfs none /run && mount -t tmpfs none /var/lib && exec "$@"';
  const measure = (interval) =>
    JSON.parse(
      run('unshare', [
        ...['--net', '--mount', '--propagation', 'private', 'sh', '-c', own, 'sh'],
        ...[process.execPath, program, 'cpu', root, String(count), String(interval)],
        String(watchSeconds),
      ]),
    );
  const rows = [['', 'of a core', 'beside what it costs unwatched', 'a sample']];
  let good = true;
  for (const interval of [1000, 100]) {
    note(`every ${interval} ms …`);
    const { groups, samples, bytes, idle, watched } = measure(interval);
    if (groups !== count || samples < watchSeconds) throw new Error('too little was seen');
    const cost = watched - idle;
    rows.push([
      `every ${interval} ms`,
      percent(cost),
      `${percent(watched)} beside ${percent(idle)}`,
      `${(bytes / 1024).toFixed(0)} KiB`,
    ]);
    if (interval !== 1000) continue;
    good = cost < watchLimit;
    if (!good) console.log(`Watched once a second they cost more than ${percent(watchLimit)}.`);
  }
  printTable(rows);
  return good;
}

function show(milliseconds) {
  return milliseconds < 10 ? `${milliseconds.toFixed(2)} ms` : `${milliseconds.toFixed(0)} ms`;
}

function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    );
  }
}

run(process.execPath, [path.join(root, 'main/start/build.mjs')]);
await bundle();
const [load = 0] = loadavg();
const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
console.log(`${cpus().length} × ${model}, Linux ${release()}, Node ${process.version}`);
if (load > cpus().length / 2) {
  console.log(`The machine does other work (load ${load.toFixed(1)}): figures are too high.`);
}
const parts = {
  hosts: benchHosts,
  switches: benchSwitches,
  packets: async () => {
    const good = await benchPackets();
    return benchLiveCaptures() && good;
  },
  cpu: benchCpu,
  rates: async () => {
    const good = benchRates();
    return benchWindow() && good;
  },
  rest: benchRest,
};
let good = true;
for (const [name, part] of Object.entries(parts)) {
  if (values.only === undefined || values.only === name) good = (await part()) && good;
}
if (existsSync(path.dirname(program))) rmSync(path.dirname(program), { recursive: true });
process.exitCode = good ? 0 : 1;

/** A row of a table: the median of times, or why there are none; `base` is what they are compared with. */
function row(name, times, base) {
  if (!Array.isArray(times)) return [name, '–', times, ''];
  const middle = median(times);
  return [name, show(middle), `${(middle / base).toFixed(2)} ×`, times.map(show).join(', ')];
}

/** The run with the median of the totals, by its phases. */
function phasesOf(measured) {
  const total = median(measured.map((one) => one.total));
  const { planned, phases } = measured.find((one) => one.total === total);
  const marks = Object.entries(phases).map(([phase, at]) => `${phase} at ${show(at)}`);
  return `planned at ${show(planned)}, ${marks.join(', ')}`;
}

async function benchHosts() {
  console.log(`\n${hosts} namespaces on one bridge, median of ${runs}:`);
  note('netloom …');
  const netloom = node('netloom', root, 'hosts', hosts, runs).map(({ up }) => up);
  note('bare netlink …');
  const bareTimes = await bare();
  note('ip -batch …');
  const batchTimes = await ipBatch();
  note('mininet …');
  const found = findMininet('brctl', 'bridge-utils');
  const mininetTimes = mininet(found, 'mininet-hosts.py', [hosts]);
  const base = median(bareTimes);
  const totals = netloom.map(({ total }) => total);
  printTable([
    ['', 'median', 'of bare', 'runs'],
    row('Netloom (document → verified)', totals, base),
    row('bare netlink', bareTimes, base),
    row('ip -batch', batchTimes, base),
    row('Mininet (LinuxBridge)', firstOf(mininetTimes), base),
  ]);
  console.log(`Of Netloom’s: ${phasesOf(netloom)}`);
  const ratio = median(totals) / base;
  console.log(`\nNetloom / bare netlink: ${ratio.toFixed(2)} (wanted: at most 2)`);
  return ratio <= 2;
}

/** The numbers at one place of lists, where there are any. */
function firstOf(lists, place = 0) {
  return Array.isArray(lists) ? lists.map((list) => list[place]) : lists;
}

async function benchSwitches() {
  const ports = 2 * switches;
  console.log(
    `\n${switches} bridges of Open vSwitch with ${ports} patch ports (userspace datapath), median of ${runs}:`,
  );
  if (spawnSync('sh', ['-c', 'command -v ovs-vswitchd']).status !== 0) {
    console.log('Open vSwitch is not installed (apt-get install openvswitch-switch).');
    return true;
  }
  note('netloom …');
  const netloom = node('netloom', root, 'ring', switches, runs);
  note('ovs-vsctl …');
  const vsctl = (
    await repeat('vsctl', (enter) => enter([process.execPath, program, 'vsctl', String(switches)]))
  ).map((text) => JSON.parse(text));
  const timesOf = (measured, way) => measured.map((one) => one[way].total);
  const up = timesOf(netloom, 'up');
  const down = timesOf(netloom, 'down');
  const [baseUp, baseDown] = ['up', 'down'].map((way) => median(vsctl.map((one) => one[way])));
  printTable([
    ['', 'median', 'of ovs-vsctl', 'runs'],
    row('Netloom up (document → verified)', up, baseUp),
    row(
      'one ovs-vsctl up',
      vsctl.map((one) => one.up),
      baseUp,
    ),
    row('Netloom down (→ verified)', down, baseDown),
    row(
      'one ovs-vsctl down',
      vsctl.map((one) => one.down),
      baseDown,
    ),
  ]);
  console.log(`Of Netloom’s up: ${phasesOf(netloom.map((one) => one.up))}`);
  console.log(`Of Netloom’s down: ${phasesOf(netloom.map((one) => one.down))}`);
  const engine = median(vsctl.map((one) => one.engine));
  console.log(
    `Netloom also starts and ends the Open vSwitch; the one of ovs-vsctl was started before, in ${show(engine)}.`,
  );

  console.log(`\nMininet’s topologies, a host at each bridge, median of ${runs}:`);
  const found = findMininet('ovs-vsctl', 'openvswitch-switch');
  const prepare = `'${process.execPath}' '${program}' engine /run/openvswitch`;
  const rows = [];
  for (const [kind, sizes, count] of [
    ['linear', [100], 100],
    ['torus', [10, 10], 10],
  ]) {
    const name = [kind, ...sizes].join(',');
    note(`netloom ${name} …`);
    const ours = node('netloom', root, kind, count, runs);
    note(`mininet ${name} …`);
    const theirs = mininet(found, 'mininet-switches.py', [kind, ...sizes], prepare);
    for (const [place, way] of ['up', 'down'].entries()) {
      const times = timesOf(ours, way);
      const base = median(times);
      rows.push(row(`Netloom ${name} ${way}`, times, base));
      rows.push(row(`Mininet ${name} ${way}`, firstOf(theirs, place), base));
    }
  }
  printTable([['', 'median', 'of Netloom', 'runs'], ...rows]);
  const ratio = median(up) / baseUp;
  const back = median(down) / median(up);
  console.log(
    `\nNetloom / one ovs-vsctl: ${ratio.toFixed(2)} (wanted: at most 3); down / up: ${back.toFixed(2)} (wanted: at most 1)`,
  );
  return ratio <= 3 && back <= 1;
}

/** Packets a second of processor time of the dissectors, beside tshark on the same file. */
async function benchPackets() {
  const directory = mkdtempSync(path.join(tmpdir(), 'netloom-packets-'));
  try {
    const file = path.join(directory, 'mixed.pcap');
    const count = Number(values.packets);
    run(process.execPath, [program, 'packets', file, String(count)]);
    console.log(`\nA mixed capture of ${count} packets, in processor time, median of ${runs}:`);
    note('netloom …');
    const measured = node('dissect', file, runs);
    // Processor time, which other work of the machine does not add to: `times` has that of what it waited for.
    const timed = (command, args) => {
      const words = ['-c', '"$@" >/dev/null 2>&1 && times', 'sh', command, ...args];
      const [, children = ''] = run('sh', words).trim().split('\n');
      return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
        (sum, [, minutes, seconds]) => sum + (Number(minutes) * 60 + Number(seconds)) * 1000,
        0,
      );
    };
    const times = (command, args) => Array.from({ length: runs }, () => timed(command, args));
    note('netloom dissect …');
    const cli = path.join(root, 'dist/main/cli.js');
    const rows = [
      ['Netloom, layers and addresses', measured[0].times],
      ['Netloom, lines', measured[1].times],
      ['Netloom, all fields', measured[2].times],
      ['netloom dissect FILE, its start included', times(process.execPath, [cli, 'dissect', file])],
    ];
    if (spawnSync('sh', ['-c', 'command -v tshark']).status === 0) {
      note('tshark …');
      // Neither names nor anything that hangs on other packets, which is more work.
      const alone = ['tcp.desegment_tcp_streams', 'tcp.analyze_sequence_numbers'];
      const settings = alone.flatMap((name) => ['-o', `${name}:FALSE`]);
      rows.push([
        'tshark -n -r FILE, its start included',
        times('tshark', ['-n', ...settings, '-r', file]),
      ]);
    } else {
      console.log('tshark is not installed (apt-get install tshark).');
    }
    const rate = (list) => count / (median(list) / 1000);
    printTable([
      ['', 'packets/s', 'median', 'runs'],
      ...rows.map(([name, list]) => [
        name,
        Math.round(rate(list)).toLocaleString('en'),
        show(median(list)),
        list.map(show).join(', '),
      ]),
    ]);
    const lines = rate(measured[1].times);
    console.log(
      `\nLines: ${Math.round(lines).toLocaleString('en')} packets/s (wanted: at least 300,000)`,
    );
    return lines >= 300_000;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Packets lost and processor time of captures, with generator and reader on the same processors. */
function benchLiveCaptures() {
  console.log(
    `\nA wire with ${liveRate.toLocaleString('en')} packets a second for ${liveSeconds} s:`,
  );
  if (!isRoot) {
    console.log('Other programs than Netloom capture as root alone: not measured.');
    return true;
  }
  note('captures …');
  const own = 'mount -t tmpfs none /run && exec "$@"';
  const measured = JSON.parse(
    run('unshare', [
      ...['--net', '--mount', '--propagation', 'private', 'sh', '-c', own, 'sh'],
      ...[process.execPath, program, 'live', root, program],
      ...[String(liveRate), String(liveSeconds)],
    ]),
  );
  const number = (value) => Math.round(value).toLocaleString('en');
  printTable([
    ['', 'sent', 'captured', 'dropped', 'CPU seconds', 'packets a CPU second'],
    ...measured.map(({ name, sent, captured, dropped, seconds }) => [
      name,
      ...[sent, captured, dropped].map(number),
      seconds.toFixed(2),
      number(captured / seconds),
    ]),
  ]);
  const [{ sent, dropped }] = measured;
  if (sent < liveRate * liveSeconds * 0.98) {
    console.log('The generator did not come to that rate here, so nothing is shown by it.');
    return true;
  }
  console.log(`\nDropped by Netloom: ${number(dropped)} (wanted: none)`);
  return dropped === 0;
}

function percent(part) {
  return `${(part * 100).toFixed(2)} %`;
}

/** What the rates of many interfaces cost the agent, ten times a second. */
function benchRates() {
  const lab = [50, 20];
  console.log(`\nRates ten times a second, in processor time of the agent:`);
  note('rates …');
  const measured = node('rates', root, program, ...lab);
  printTable([
    ['', 'interfaces', 'told of in a sample', 'of a core', 'unwatched'],
    ...Object.entries(measured).map(([name, { interfaces, told, idle, watched }]) => [
      name,
      String(interfaces),
      told.toFixed(0),
      percent(watched),
      percent(idle),
    ]),
  ]);
  const good = measured.quiet.watched < 0.05;
  console.log(
    `\nOf a core, while little moves: ${percent(measured.quiet.watched)} (wanted: under 5 %)`,
  );
  return good;
}

/** What it costs to have the window open and do nothing. */
function benchWindow() {
  console.log('\nA window that is open on a lab that is up, while nothing moves:');
  note('window …');
  const { netloom, chromium } = node('window', 30);
  printTable([
    ['', 'of a core'],
    ['agent and gateway', percent(netloom)],
    ['Chromium, without a graphics card', percent(chromium)],
  ]);
  console.log(`\nAgent and gateway: ${percent(netloom)} (wanted: under 3 %)`);
  return netloom < 0.03;
}

async function benchRest() {
  console.log('\nBesides, median:');
  note('plan, call, start …');
  const plans = node('plan', root, 1000, runs);
  const calls = node('call', root, 2000, 1);
  const starts = await startUp().catch((error) => error.message);
  printTable([
    [
      `plan of 1,000 hosts (${plans[0].operations} operations)`,
      show(median(plans.map(({ total }) => total))),
    ],
    ['round trip of a call to the agent', show(calls[0].total)],
    ['second npm start to its ready line', Array.isArray(starts) ? show(median(starts)) : starts],
  ]);
  return true;
}
