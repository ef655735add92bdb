/**
 * Open vSwitch on the kernel's datapath, in a guest with Debian's full kernel: every lab with an Open vSwitch by
 * `netloom test`, as root, one of them as an ordinary user, and the host's realm with the machine's own Open vSwitch
 * (host-ovs.inside.ts).
 */
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  asPerson,
  type GuestPlaces,
  GuestReports,
  makePerson,
  sayWhen,
} from '../harness/guest-reports.ts';
import { switchLabs as labs } from '../harness/lab-needs.ts';

/** Beside each other, as there are two processors. */
const lanes = [0, 1].map((lane) => labs.filter((_, index) => index % 2 === lane));
const byUser = labs.slice(0, 1);
const stems = ['lane-0', 'lane-1', 'user'] as const;

interface LabReport {
  readonly files: readonly {
    readonly file: string;
    readonly outcome: string;
    readonly reason: string | null;
    readonly datapaths?: readonly string[];
  }[];
}

const reports = await GuestReports.collect('guest-ovs', writeScript, { timeoutSeconds: 3000 });

function writeScript(places: GuestPlaces): string {
  const vitest = places.vitest({
    directory: 'test/guest',
    files: ['test/guest/host-ovs.inside.ts'],
    stem: 'inside',
  });
  return `
${sayWhen}${makePerson}
(${places.testLabs('lane-0', lanes[0] ?? [])}; took 'first labs') &
first=$!
(${places.testLabs('lane-1', lanes[1] ?? [])}; took 'other labs')
(${places.testLabs('user', byUser, asPerson)}; took 'a lab as a user') &
second=$!
${vitest} >${places.at('inside.log')} 2>&1
took 'the host'
wait $first $second
`;
}

reports.testBoot('The kernel’s datapath');

if (reports.run !== null) {
  const found = stems.flatMap((stem) =>
    (reports.readReport<LabReport>(stem)?.files ?? []).map((one) => ({ ...one, stem })),
  );
  const said = stems.map((stem) => reports.read(`${stem}.log`).slice(-2000)).join('\n');
  for (const { file, outcome, datapaths, stem } of found) {
    const who = stem === 'user' ? 'an ordinary user' : 'root';
    process.stderr.write(
      `${outcome}: ${path.basename(file)}, as ${who}, Open vSwitch on ${datapaths?.join(', ') ?? 'nothing'}\n`,
    );
  }

  describe.each([
    { who: 'root', places: ['lane-0', 'lane-1'], names: labs },
    { who: 'an ordinary user', places: ['user'], names: byUser },
  ])('in the guest as $who', ({ places, names }) => {
    it.each(names)('the lab %s works on the kernel’s datapath and leaves nothing', (lab) => {
      const mine = found.filter(
        ({ file, stem }) => places.includes(stem) && path.basename(file) === lab,
      );
      const reasons = mine.map(({ reason }) => reason ?? '').join('\n') || said;
      expect(
        mine.map(({ outcome, datapaths }) => ({ outcome, datapaths })),
        reasons,
      ).toEqual([{ outcome: 'passed', datapaths: ['system'] }]);
    });
  });

  reports.testInside('inside', 'host-ovs.inside.ts');
}
