/** Cores as they are read: two digits at most, none that say nothing. */
export function coresText(cores: number): string {
  return String(roundedCores(cores));
}

export function roundedCores(cores: number): number {
  return Number(cores.toFixed(2));
}
