/** Capturing from other places of the window than the list itself. */
import { useWindowActions } from '../app/window-actions.ts';
import type { Subject } from './capture-places.ts';
import { usePackets } from './packet-store.ts';

export function useCaptureActions() {
  const packets = usePackets();
  const actions = useWindowActions();
  return {
    /** Shows the packets and captures there; from then on the choice follows the selection again. */
    captureOn(subject: Subject): void {
      packets.chosen = null;
      actions.showDrawer('packets');
      void packets.start([subject]);
    },
  };
}
