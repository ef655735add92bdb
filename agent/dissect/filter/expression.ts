/** A display filter once it is read and checked. */
import type { FilterField } from './filter-fields.ts';
import type { Literal } from './literal.ts';
import type { Pattern } from './pattern.ts';

/** Bytes of a value: from `start`, behind its end where that is less than 0, up to `length` of them or the end. */
export interface Slice {
  readonly start: number;
  /** Null for all that follow. */
  readonly length: number | null;
}

export interface Operand {
  readonly field: FilterField;
  readonly slice: Slice | null;
  /** Bits of the number that count. */
  readonly mask: number | bigint | null;
}

/**
 * A field may be there several times. `equal`, `less` and the like hold where any of its values does, `unequal` where every
 * one does and there is one; `all-equal` and `any-unequal` are the other way round.
 */
export type Comparison =
  | 'equal'
  | 'unequal'
  | 'all-equal'
  | 'any-unequal'
  | 'less'
  | 'less-or-equal'
  | 'more'
  | 'more-or-equal';

export interface ValueRange {
  readonly low: Literal;
  /** The same for a single value. */
  readonly high: Literal;
}

export type Expression =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Expression[] }
  | { readonly kind: 'not'; readonly of: Expression }
  | { readonly kind: 'present'; readonly operand: Operand }
  | {
      readonly kind: 'compare';
      readonly operand: Operand;
      readonly comparison: Comparison;
      readonly with: Literal | Operand;
    }
  | { readonly kind: 'in'; readonly operand: Operand; readonly ranges: readonly ValueRange[] }
  | { readonly kind: 'contains'; readonly operand: Operand; readonly piece: Uint8Array }
  | { readonly kind: 'matches'; readonly operand: Operand; readonly pattern: Pattern };
