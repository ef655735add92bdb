/**
 * Works items off in lanes beside each other, first come, first served. What waits for answers or for programs that start
 * is over sooner; what each item comes to, or that it fails, is for whoever asks for it.
 */
export function inLanes<Item, Lane, Value>(
  items: readonly Item[],
  lanes: readonly Lane[],
  work: (item: Item, lane: Lane) => Promise<Value>,
): ReadonlyMap<Item, Promise<Value>> {
  const queue = [...items];
  const settle = new Map<Item, (result: Promise<Value>) => void>();
  const results = new Map<Item, Promise<Value>>();
  for (const item of items) {
    const result = new Promise<Value>((resolve) => settle.set(item, resolve));
    result.catch(() => undefined);
    results.set(item, result);
  }
  for (const lane of lanes) {
    void (async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
        const result = work(item, lane);
        settle.get(item)?.(result);
        await result.catch(() => undefined);
      }
    })();
  }
  return results;
}
