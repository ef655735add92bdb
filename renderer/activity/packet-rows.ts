/** The piece of the list of packets that is on screen, asked for as it is needed. */
import { onBeforeUnmount, type Ref, type ShallowRef, shallowRef, watch } from 'vue';
import type { Failure, PacketRow } from '../../agent/api/index.ts';
import { usePackets } from './packet-store.ts';

export interface RowPiece {
  /** Place of the first row among those that match. */
  readonly place: number;
  readonly rows: readonly PacketRow[];
  /** How many match. */
  readonly matching: number;
}

export interface RowRange {
  /** Place of the first row on screen. */
  readonly first: number;
  readonly count: number;
}

/** Rows before and behind those on screen. */
const margin = 100;
const empty: RowPiece = { place: 0, rows: [], matching: 0 };

export interface PacketRows {
  readonly piece: Readonly<ShallowRef<RowPiece>>;
  readonly problem: Readonly<ShallowRef<Failure | null>>;
  /** Asks for what is on screen, where it is not there already. */
  readonly need: () => Promise<void>;
}

/**
 * While it is live it has the newest rows; else the list stays as it was when somebody looked away from its end: what comes
 * is there when it is live again.
 */
export function usePacketRows(range: () => RowRange, live: Ref<boolean>): PacketRows {
  const packets = usePackets();
  const piece = shallowRef<RowPiece>(empty);
  const problem = shallowRef<Failure | null>(null);
  let loading: Promise<void> | null = null;
  let again = false;
  let closed = false;

  const ask = async (): Promise<void> => {
    const { capture, appliedFilter: filter } = packets;
    if (capture === null) {
      piece.value = empty;
      return;
    }
    const { first, count } = range();
    const follows = live.value;
    const answer = await capture.source.rows({
      ...{ filter, count: count + 2 * margin },
      from: follows ? { kind: 'end' } : { kind: 'place', place: Math.max(0, first - margin) },
    });
    // Of another capture, or by another filter: what is asked for next is what counts.
    if (closed || packets.capture?.id !== capture.id || packets.appliedFilter !== filter) return;
    problem.value = answer.ok ? null : answer.failure;
    if (!answer.ok) return;
    const { rows, place, matching } = answer.value;
    const kept =
      follows || capture.file !== null || piece.value.matching === 0 || filtered !== filter;
    filtered = filter;
    piece.value = { rows, place, matching: kept ? matching : piece.value.matching };
    packets.matching = matching;
    packets.see(follows ? rows.slice(-20) : []);
  };
  /** What the piece was asked for by. */
  let filtered: string | null = null;

  const load = (): Promise<void> => {
    if (loading !== null) {
      again = true;
      return loading;
    }
    loading = (async () => {
      do {
        again = false;
        await ask();
      } while (again && !closed);
      loading = null;
    })();
    return loading;
  };
  const need = (): Promise<void> => {
    const { first, count } = range();
    const { place, rows, matching } = piece.value;
    const end = Math.min(matching, first + count);
    return first >= place && end <= place + rows.length ? Promise.resolve() : load();
  };

  watch(
    () => packets.capture?.id ?? null,
    () => {
      piece.value = empty;
      problem.value = null;
      void load();
    },
    { immediate: true },
  );
  watch(
    () => packets.appliedFilter,
    () => void load(),
  );
  watch(
    () => packets.totals,
    () => {
      // A file has all its rows in the list, wherever somebody looks.
      if (live.value || packets.capture?.file !== null) void load();
    },
  );
  watch(live, (now) => {
    if (now) void load();
  });
  onBeforeUnmount(() => (closed = true));
  return { piece, problem, need };
}
