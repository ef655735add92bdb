/** Packets of every protocol, built by hand; `tshark` is asked about the same bytes. */
export interface Sample {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** LINKTYPE_; Ethernet unless given. */
  readonly linkType?: number;
  /** Fields that tshark reads otherwise, by intent or by mistake. */
  readonly differs?: readonly string[];
}

export function sample(
  name: string,
  bytes: Uint8Array,
  linkType?: number,
  differs: readonly string[] = [],
): Sample {
  return { name, bytes, differs, ...(linkType === undefined ? {} : { linkType }) };
}
