/**
 * What carries messages between this window and main. `lost` means that the carrier is trying again by itself;
 * messages may be given to `send` only while it is `open`.
 */
export type CarrierState = 'connecting' | 'open' | 'lost';

export interface CarrierListener {
  message(text: string): void;
  state(state: CarrierState): void;
}

export interface Carrier {
  /** Starts the carrier; called once. */
  open(listener: CarrierListener): void;
  send(text: string): void;
}
