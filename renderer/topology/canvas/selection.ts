/** What is selected, everywhere on the screen. */
export type Selection =
  | { readonly kind: 'node'; readonly node: string }
  | { readonly kind: 'interface'; readonly node: string; readonly interface: string }
  | { readonly kind: 'link'; readonly index: number }
  /** A CPU group by its path; empty is the root. */
  | { readonly kind: 'cpu-group'; readonly group: string }
  /** An object that is not the lab's: an inventory id of a namespace or a link. */
  | { readonly kind: 'foreign'; readonly id: string };

export function sameSelection(one: Selection | null, other: Selection | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
