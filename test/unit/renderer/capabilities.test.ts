import { beforeEach, expect, it } from 'vitest';
import { type Capability, fail, succeed } from '../../../agent/api/index.ts';
import { i18n } from '../../../renderer/app/text/text.ts';
import { useCapabilities } from '../../../renderer/topology/capability-store.ts';
import { useTopologyActions } from '../../../renderer/topology/topology-actions.ts';
import { failure, type FakeMain, openWindow } from './fake-window.ts';

const found: readonly Capability[] = [
  { name: 'link:tap', available: true, reason: null, remedy: null },
  {
    name: 'link:vlan',
    available: false,
    reason: 'The kernel does not have it. RTM_NEWLINK: EOPNOTSUPP.',
    remedy: 'sudo modprobe 8021q',
  },
  { name: 'link:tun', available: false, reason: 'open: EACCES.', remedy: null },
];
let main: FakeMain;

beforeEach(() => {
  main = openWindow();
  i18n.global.locale.value = 'en';
});

it('says of each device why the machine cannot have it, and what helps, in both languages', async () => {
  main.answers['app.doctor'] = () => succeed({ capabilities: found });
  const actions = useTopologyActions();
  expect(actions.lackOfDevice('vlan')).toBeNull();
  await useCapabilities().load();
  expect(actions.lackOfDevice('vlan')).toBe(
    'This machine’s kernel has no VLAN devices. Try: sudo modprobe 8021q',
  );
  expect(actions.lackOfDevice('tun')).toBe('This machine cannot: open: EACCES.');
  expect(actions.lackOfDevice('tap')).toBeNull();
  // Nobody has tried it.
  expect(actions.lackOfDevice('vxlan')).toBeNull();
  i18n.global.locale.value = 'zh';
  expect(actions.lackOfDevice('vlan')).toBe('本机内核没有 VLAN 设备。 可试：sudo modprobe 8021q');
});

it('counts everything as there where the machine could not be asked', async () => {
  main.answers['app.doctor'] = () => fail(failure('timeout'));
  await useCapabilities().load();
  expect(useTopologyActions().lackOfDevice('vlan')).toBeNull();
});
