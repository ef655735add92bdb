/** Display filters that are asked for again and again, and the packets of a capture that they mean. */
import { type Result, succeed } from '../api/result.ts';
import type { CapturedPacket } from '../dissect/capture/captured-packet.ts';
import type { Dissection } from '../dissect/core/dissection.ts';
import { dissect } from '../dissect/dissect.ts';
import { type DisplayFilter, displayFilter } from '../dissect/filter/display-filter.ts';
import { PacketMatches } from './packet-matches.ts';
import type { PacketStore } from './packet-store.ts';

/** Packets by their place among those that match. */
export type Matching = Pick<PacketMatches, 'count' | 'placeOf' | 'at'>;

export interface LiveFilterOptions {
  /** A packet that is kept; null for one that is not. */
  readonly frame: (number: number) => CapturedPacket | null;
  /** Lets others work. */
  readonly rest: () => Promise<void>;
  /** Begins a slice of work; what it gives tells when that is over. */
  readonly timer: () => () => boolean;
}

interface LiveFilter {
  readonly means: DisplayFilter['matches'];
  readonly matches: PacketMatches;
  /** When it was asked for last, in milliseconds. */
  asked: number;
}

/** Filters whose answers are kept, and milliseconds after which nobody is expected to ask again. */
const keptFilters = 4;
const patience = 10_000;

export class LiveFilters {
  private readonly store: PacketStore;
  private readonly options: LiveFilterOptions;
  private readonly filters = new Map<string, LiveFilter>();

  constructor(store: PacketStore, options: LiveFilterOptions) {
    this.store = store;
    this.options = options;
  }

  /** A packet has come. */
  take(number: number, dissection: Dissection): void {
    for (const { means, matches } of this.filters.values()) {
      const frame = this.options.frame(number);
      if (frame !== null && means(frame, dissection)) matches.add(number);
    }
  }

  /** The packets that a filter means, as they are kept when it returns; good until others work. */
  async matching(filter: string | null): Promise<Result<Matching>> {
    const { store, options } = this;
    const text = filter?.trim() ?? '';
    if (text === '') return succeed(everything(store.oldest, store.newest));
    let live = this.filters.get(text);
    if (live === undefined) {
      const read = displayFilter(text);
      if (!read.ok) return read;
      const { matches: means } = read.value;
      const matches = new PacketMatches(store.newest, (number) => {
        const frame = options.frame(number);
        return frame !== null && means(frame, dissectionOf(frame));
      });
      live = { means, matches, asked: 0 };
      this.filters.set(text, live);
    }
    live.asked = performance.now();
    this.drop();
    while (!live.matches.advance(store.oldest, options.timer())) await options.rest();
    return succeed(live.matches);
  }

  /** Each costs something with every packet: those that nobody asks for go, and the one that was asked for longest ago. */
  drop(): void {
    const now = performance.now();
    const byTime = [...this.filters].sort(([, one], [, other]) => other.asked - one.asked);
    for (const [place, [text, { asked, matches }]] of byTime.entries()) {
      if (place >= keptFilters || now - asked > patience) this.filters.delete(text);
      else matches.forget(this.store.oldest);
    }
  }
}

function dissectionOf({ bytes, interface: { linkType }, wireLength }: CapturedPacket): Dissection {
  return dissect(bytes, linkType, wireLength);
}

/** Every packet, of which none needs to be remembered. */
function everything(oldest: number, newest: number): Matching {
  const count = Math.max(0, newest - oldest + 1);
  return {
    count,
    placeOf: (number) => Math.min(count, Math.max(0, number - oldest)),
    at: (place) => (place >= 0 && place < count ? oldest + place : undefined),
  };
}

/** From `first` on, up to `newest`. */
export function* numbersFrom(matches: Matching, first: number, newest: number): Generator<number> {
  for (let place = matches.placeOf(first); ; place += 1) {
    const number = matches.at(place);
    if (number === undefined || number > newest) return;
    yield number;
  }
}
