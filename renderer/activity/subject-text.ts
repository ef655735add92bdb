/** What is captured on, in words. */
import { linkLabel, namespaceLabel } from '../inventory/labels.ts';
import { useRealms } from '../inventory/realm-store.ts';
import { useLab } from '../topology/lab-store.ts';
import { useText } from '../app/text/text.ts';
import type { Subject } from './capture-places.ts';

export function useSubjectText(): (subject: Subject) => string {
  const lab = useLab();
  const realms = useRealms();
  const { t } = useText();
  return (subject) => {
    switch (subject.kind) {
      case 'lab':
        return t('packets.lab');
      case 'node':
        return subject.node;
      case 'interface':
        return `${subject.node}:${subject.interface}`;
      case 'link':
        return lab.document?.topology.links?.[subject.index]?.endpoints.join(' — ') ?? '–';
      case 'foreign': {
        const { inventory } = realms;
        if (inventory === null) return subject.id;
        const namespace = inventory.namespaces.find((each) => each.id === subject.id);
        return (
          (namespace === undefined
            ? linkLabel(inventory, subject.id)
            : namespaceLabel(namespace)) ?? subject.id
        );
      }
    }
  };
}
