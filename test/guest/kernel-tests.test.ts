/** The kernel tier's tests of what links the kernel can make, and of the labs that need them, on the full kernel of a guest. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { GuestReports } from '../harness/guest-reports.ts';
import { checkout } from '../harness/netloom.ts';

const kernelTests = readdirSync(path.join(checkout, 'test/kernel'))
  .filter((name) => /^(?:device|netlink|full-kernel)-.*\.test\.ts$/.test(name))
  .sort();

const reports = await GuestReports.collect(
  'guest-kernel',
  (places) => `
# The kernel tier asks for namespaces with nothing but a loopback.
echo 1 >/proc/sys/net/core/fb_tunnels_only_for_init_net
NETLOOM_FULL_KERNEL=1 unshare --net --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' sh \\
  ${places.vitest({ directory: 'test/kernel', files: kernelTests, stem: 'vitest' })} >${places.at('vitest.log')} 2>&1
`,
  { machine: 'user-mode', timeoutSeconds: 1500 },
);

// How the tests went is said one by one.
reports.testBoot('The kernel tier', [0, 1]);
if (reports.run !== null) for (const name of kernelTests) reports.testInside('vitest', name);
