/** The VLANs of a port as the few signs that there is room for, the same on the drawing and in lists. Pure. */
import { vlanText } from './live.ts';
import type { PortVlans } from './ovs-view.ts';

export interface VlanChip {
  readonly text: string;
  /** The VLAN of a trunk that frames without a tag are of. */
  readonly native: boolean;
}

/** The VLAN without a tag, then those with one; `T` is a trunk of many or of all. `sign` goes before a native VLAN. */
export function vlanChips(vlans: PortVlans, sign: string): readonly VlanChip[] {
  const tagged = vlanText(vlans.tagged);
  const trunk = vlans.tagged.length > 0 || vlans.all === true;
  const { native, untagged } = vlans;
  return [
    ...(untagged === null ? [] : [{ text: `${trunk ? sign : ''}${untagged}`, native: trunk }]),
    ...(native === undefined ? [] : [{ text: `${sign}${native}`, native: true }]),
    ...(tagged === '' ? [] : [{ text: tagged.length > 8 ? 'T' : tagged, native: false }]),
    ...(vlans.all === true ? [{ text: 'T', native: false }] : []),
  ];
}
