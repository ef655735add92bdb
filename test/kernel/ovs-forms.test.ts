import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OpenFlowForms, type FormRequest } from '../../agent/ovs/openflow-forms.ts';
import { ip, must, requirePrivateNamespaces } from './netlink-private.ts';

const work = mkdtempSync(join(tmpdir(), 'netloom-forms-'));
const directory = join(work, 'forms');
beforeAll(requirePrivateNamespaces);
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

const request: FormRequest = {
  bridge: 'br0',
  protocols: [],
  ports: [
    { name: 'br0', openFlowPort: null },
    { name: 'eth0.5', openFlowPort: 3 },
    { name: 'p1', openFlowPort: null },
  ],
  tables: { flows: [], groups: [], meters: [] },
};

it('gives lines the form that a bridge shows', async () => {
  const forms = new OpenFlowForms(directory);
  const links = ip('link');
  const [form] = must(
    await forms.formsOf([
      {
        ...request,
        tables: {
          flows: [
            'in_port=3,ip,nw_dst=10.0.0.0/255.0.0.0,actions=p1',
            'priority=7,in_port=p1,tcp,tp_dst=0x50,table=0,actions=group:0x5',
            'actions=local',
          ],
          groups: ['group_id=5,type=all,bucket=output:p1,bucket=output:3'],
          meters: ['meter=1 kbps band=type=drop rate=9'],
        },
      },
    ]),
  );
  expect(form).toEqual({
    ok: true,
    value: {
      flows: [
        'actions=LOCAL',
        'ip,in_port="eth0.5",nw_dst=10.0.0.0/8 actions=output:p1',
        'priority=7,tcp,in_port=p1,tp_dst=80 actions=group:5',
      ],
      groups: [
        'group_id=5,type=all,bucket=bucket_id:0,actions=output:p1,bucket=bucket_id:1,actions=output:"eth0.5"',
      ],
      meters: ['meter=1,kbps,band=type=drop,rate=9'],
    },
  });
  expect(ip('link')).toEqual(links);
  expect(existsSync(directory)).toBe(false);
});

it('depends on what the bridge speaks, is stable, and fails for each bridge on its own', async () => {
  const forms = new OpenFlowForms(directory);
  const flows = ['priority=5,ip,actions=mod_nw_src:1.2.3.4,output:p1'];
  const tables = { flows, groups: [], meters: [] };
  const requests: FormRequest[] = [
    { ...request, tables },
    { ...request, tables, protocols: ['OpenFlow10'] },
    { ...request, tables: { ...tables, flows: ['nonsense'] } },
    { ...request, tables: { ...tables, flows: ['in_port=8,actions=drop'] } },
    { ...request, bridge: 'br1', tables: { ...tables, flows: ['actions=output:4'] } },
  ];
  const found = must(await forms.formsOf(requests));
  expect(found).toMatchObject([
    { value: { flows: ['priority=5,ip actions=set_field:1.2.3.4->ip_src,output:p1'] } },
    { value: { flows: ['priority=5,ip actions=mod_nw_src:1.2.3.4,output:p1'] } },
    { failure: { code: 'openflow-line-refused', values: { line: 'nonsense' } } },
    { failure: { code: 'openflow-port-unknown', values: { port: '8', bridge: 'br0' } } },
    { failure: { code: 'openflow-port-unknown', values: { port: '4', bridge: 'br1' } } },
  ]);
  const again = must(
    await forms.formsOf(
      found.flatMap((form, at) => {
        const former = requests[at];
        return form.ok && former !== undefined ? [{ ...former, tables: form.value }] : [];
      }),
    ),
  );
  expect(again).toEqual(found.slice(0, 2));
  expect(must(await forms.formsOf(requests))).toEqual(found);
});
