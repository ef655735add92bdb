import { nameSamples, timeSamples, webSamples } from './application-samples.ts';
import {
  controlSamples,
  linkSamples,
  network6Samples,
  networkSamples,
  transportSamples,
} from './network-samples.ts';
import {
  configurationSamples,
  exportSamples,
  openFlowSamples,
  routingSamples,
} from './control-samples.ts';
import { tunnelSamples } from './tunnel-samples.ts';
import type { Sample } from './sample.ts';

export const samples: readonly Sample[] = [
  ...linkSamples,
  ...controlSamples,
  ...networkSamples,
  ...network6Samples,
  ...transportSamples,
  ...tunnelSamples,
  ...nameSamples,
  ...timeSamples,
  ...webSamples,
  ...configurationSamples,
  ...routingSamples,
  ...exportSamples,
  ...openFlowSamples,
];
