/**
 * The place of the confirm deadline: a change that could cut the person off is verified, then held open until they
 * confirm it; without confirmation it is taken back. The host realm will give one that asks through a watchdog
 * process. Where nothing of the kind can happen (a sandbox) there is none.
 */
export interface ConfirmationRequest {
  readonly transaction: string;
  readonly lab: string;
  readonly signal: AbortSignal;
}

export type ConfirmationHook = (
  request: ConfirmationRequest,
) => Promise<'confirmed' | 'not-confirmed'>;
