/** What the transport reports. Whoever writes the log adds the time. */
export type TransportEvent =
  | {
      readonly event: 'admission';
      readonly admitted: boolean;
      readonly reason: string;
      readonly door: string;
      readonly key: string | null;
      readonly client: string | null;
      readonly uid: number | null;
      readonly pid: number | null;
    }
  | { readonly event: 'handshake-failed'; readonly client: string; readonly reason: string }
  | {
      readonly event: 'request-refused';
      readonly client: string;
      readonly code: string;
      readonly object: string;
      readonly reason: string;
    }
  | { readonly event: 'client-gone'; readonly client: string; readonly calls: number }
  | { readonly event: 'client-too-slow'; readonly client: string; readonly calls: number }
  | {
      readonly event: 'door-opened';
      readonly client: string;
      readonly access: string;
      readonly uid: number;
    }
  | { readonly event: 'door-closed'; readonly client: string }
  | { readonly event: 'door-failed'; readonly client: string; readonly reason: string }
  | { readonly event: 'enrolment-unusable'; readonly reason: string }
  | { readonly event: 'handler-bug'; readonly call: string; readonly reason: string };

export type TransportLog = (event: TransportEvent) => void;
