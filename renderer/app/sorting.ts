/** Tables that a person sorts by a heading: which column, and which way. */
import { type Ref, ref } from 'vue';

export type SortDirection = 'ascending' | 'descending' | 'none';

/** Numbers by size, texts as people count: `h2` before `h10`. */
export function compareValues(one: string | number, other: string | number): number {
  if (typeof one === 'number' && typeof other === 'number') return one === other ? 0 : one - other;
  return String(one).localeCompare(String(other), 'en', { numeric: true });
}

export interface Sorting<Column extends string> {
  readonly column: Ref<Column>;
  readonly descending: Ref<boolean>;
  readonly sortBy: (next: Column) => void;
  readonly directionOf: (column: Column) => SortDirection;
}

/** `largestFirst` are columns of which the largest is looked for: they begin descending. */
export function useSorting<Column extends string>(
  first: Column,
  largestFirst: readonly Column[] = [],
): Sorting<Column> {
  const column = ref(first) as Ref<Column>;
  const descending = ref(largestFirst.includes(first));
  return {
    column,
    descending,
    sortBy(next) {
      descending.value = column.value === next ? !descending.value : largestFirst.includes(next);
      column.value = next;
    },
    directionOf: (of) =>
      column.value !== of ? 'none' : descending.value ? 'descending' : 'ascending',
  };
}
