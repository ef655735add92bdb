/** The few words that stand on the canvas itself. */
export interface CanvasWords {
  readonly canvas: string;
  readonly foreign: string;
  readonly drawWire: string;
  readonly addDevice: string;
  readonly chooseTarget: string;
  readonly chooseDevice: string;
  readonly empty: string;
  readonly down: string;
  readonly drifted: string;
  readonly more: (count: number) => string;
  readonly checksPassed: (passed: number, all: number) => string;
  readonly root: string;
  readonly rootHelp: string;
  readonly routerHelp: string;
  readonly natHelp: (rules: number) => string;
  readonly filterHelp: string;
  readonly runs: (name: string, running: boolean | null) => string;
  readonly device: Readonly<Record<string, string>>;
  readonly on: (parent: string) => string;
  readonly tableNumber: (table: number) => string;
  readonly members: (names: string) => string;
  readonly memberOf: (bond: string) => string;
  readonly active: string;
  readonly backup: string;
  readonly linkBad: string;
  readonly untagged: (id: number) => string;
  readonly noUntagged: string;
  readonly nativeTagged: (id: number) => string;
  readonly allVlans: string;
  readonly portError: (reason: string) => string;
  readonly within: (namespace: string) => string;
  readonly inside: (namespace: string) => string;
  readonly tagged: (ids: string) => string;
  readonly isolated: string;
  readonly portState: (state: string) => string;
  readonly leaving: (what: string) => string;
  readonly held: (names: string) => string;
  readonly unheld: string;
  readonly impairment: Readonly<Record<'loss' | 'duplicate' | 'reorder' | 'corrupt', string>>;
}

export const canvasWords: Readonly<Record<'en' | 'zh', CanvasWords>> = {
  en: {
    canvas: 'Topology drawing',
    foreign: 'not this lab’s',
    drawWire: 'Draw a wire (W)',
    addDevice: 'Add a device (A)',
    chooseTarget: 'Choose the other end: click a node, or Tab and Enter. Esc cancels.',
    chooseDevice: 'Choose the device at the other end: click it, or Tab and Enter. Esc cancels.',
    empty: 'Drag a namespace or a bridge here to begin.',
    down: 'down',
    drifted: 'Differs from the document',
    more: (count) => `+${count}`,
    checksPassed: (passed, all) => `${passed} of ${all} checks pass`,
    root: 'root',
    rootHelp: 'Root of the spanning tree',
    routerHelp: 'Forwards packets between its interfaces',
    natHelp: (rules) =>
      rules === 1 ? '1 rule of address translation' : `${rules} rules of address translation`,
    filterHelp: 'Filters packets',
    runs: (name, running) =>
      running === null
        ? `Runs ${name} while the lab is up`
        : running
          ? `${name} is running`
          : `${name} is not running`,
    device: {
      tap: 'tap',
      tun: 'tun',
      vlan: 'VLAN',
      bond: 'bond',
      dummy: 'dummy',
      vxlan: 'VXLAN',
      gre: 'GRE',
      gretap: 'GRETAP',
      ipip: 'IPIP',
      geneve: 'Geneve',
      macvlan: 'macvlan',
      vrf: 'VRF',
      internal: 'Internal port',
      patch: 'Patch port',
    },
    on: (parent) => `on ${parent}`,
    tableNumber: (table) => `table ${table}`,
    members: (names) => `Members: ${names}`,
    memberOf: (bond) => `Member of ${bond}`,
    active: 'active',
    backup: 'backup',
    linkBad: 'link down',
    untagged: (id) => `VLAN ${id} untagged`,
    noUntagged: 'no untagged frames',
    nativeTagged: (id) => `native VLAN ${id}, tagged`,
    allVlans: 'trunk of all VLANs',
    portError: (reason) => `Open vSwitch could not have it: ${reason}`,
    within: (namespace) => `In the namespace ${namespace}`,
    inside: (namespace) => `in ${namespace}`,
    tagged: (ids) => `VLAN ${ids} tagged`,
    isolated: 'Isolated: exchanges nothing with other isolated ports',
    portState: (state) => `STP: ${state}`,
    leaving: (what) => `Leaving: ${what}`,
    held: (names) => `Held by ${names}`,
    unheld: 'Nobody holds it',
    impairment: {
      loss: 'loss',
      duplicate: 'duplicated',
      reorder: 'reordered',
      corrupt: 'corrupted',
    },
  },
  zh: {
    canvas: '拓扑图',
    foreign: '非本实验所建',
    drawWire: '连线 (W)',
    addDevice: '添加设备 (A)',
    chooseTarget: '选择另一端：点击节点，或按 Tab 再按 Enter；Esc 取消。',
    chooseDevice: '选择另一端的设备：点击设备，或按 Tab 再按 Enter；Esc 取消。',
    empty: '把网络命名空间或网桥拖到这里开始。',
    down: '停用',
    drifted: '与文件不符',
    more: (count) => `+${count}`,
    checksPassed: (passed, all) => `${all} 项检查中 ${passed} 项通过`,
    root: '根',
    rootHelp: '生成树的根网桥',
    routerHelp: '在接口之间转发数据包',
    natHelp: (rules) => `${rules} 条地址转换规则`,
    filterHelp: '有包过滤规则',
    runs: (name, running) =>
      running === null
        ? `实验运行期间执行 ${name}`
        : running
          ? `${name} 正在运行`
          : `${name} 未在运行`,
    device: {
      tap: 'tap',
      tun: 'tun',
      vlan: 'VLAN',
      bond: 'bond',
      dummy: 'dummy',
      vxlan: 'VXLAN',
      gre: 'GRE',
      gretap: 'GRETAP',
      ipip: 'IPIP',
      geneve: 'Geneve',
      macvlan: 'macvlan',
      vrf: 'VRF',
      internal: '内部端口',
      patch: 'Patch 端口',
    },
    on: (parent) => `基于 ${parent}`,
    tableNumber: (table) => `路由表 ${table}`,
    members: (names) => `成员：${names}`,
    memberOf: (bond) => `${bond} 的成员`,
    active: '主用',
    backup: '备用',
    linkBad: '链路断开',
    untagged: (id) => `VLAN ${id} 不带标签`,
    noUntagged: '不接受无标签帧',
    nativeTagged: (id) => `本征 VLAN ${id}，带标签`,
    allVlans: '放行全部 VLAN 的中继口',
    portError: (reason) => `Open vSwitch 未能启用：${reason}`,
    within: (namespace) => `位于命名空间 ${namespace}`,
    inside: (namespace) => `在 ${namespace} 内`,
    tagged: (ids) => `VLAN ${ids} 带标签`,
    isolated: '端口隔离：与其他隔离端口互不通信',
    portState: (state) => `STP：${state}`,
    leaving: (what) => `出方向：${what}`,
    held: (names) => `由 ${names} 占用`,
    unheld: '无人占用',
    impairment: { loss: '丢包', duplicate: '重复', reorder: '乱序', corrupt: '损坏' },
  },
};
