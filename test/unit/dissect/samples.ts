import {
  controlSamples,
  linkSamples,
  network6Samples,
  networkSamples,
  transportSamples,
} from './network-samples.ts';
import type { Sample } from './sample.ts';

export const samples: readonly Sample[] = [
  ...linkSamples,
  ...controlSamples,
  ...networkSamples,
  ...network6Samples,
  ...transportSamples,
];
