/** Lines of the last minute, as points of an SVG. Pure. */

/** Runs of points that belong together, `width` by `height`, the newest at the right; gaps are where nothing is known. */
export function sparkline(
  series: readonly (number | null)[],
  most: number,
  width: number,
  height: number,
): readonly string[] {
  const step = width / Math.max(1, series.length - 1);
  const runs: string[][] = [];
  let before: number | null = null;
  for (const [place, value] of series.entries()) {
    if (value !== null) {
      if (before === null) runs.push([]);
      const y = height * (1 - Math.min(1, value / Math.max(most, 1e-9)));
      runs.at(-1)?.push(`${(place * step).toFixed(1)},${y.toFixed(1)}`);
    }
    before = value;
  }
  return runs.map((points) => points.join(' '));
}
