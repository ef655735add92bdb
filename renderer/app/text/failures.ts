export interface FailureSentences {
  readonly reason: string;
  readonly next: string;
}

/**
 * Chinese sentences by the code of a failure or warning. `{object}` and the failure's own `values` may be used; a code
 * that is not here, or whose values are not all there, is said in English as it came.
 */
export const chineseFailures: Readonly<Record<string, FailureSentences>> = {
  // This window
  'bridge-lost': {
    reason: '与 Netloom 的连接在收到应答之前断开了。',
    next: '窗口会自动重连；重连后请查看状态再试一次。',
  },
  'bridge-timeout': { reason: 'Netloom 没有及时应答。', next: '请确认程序仍在运行，然后重试。' },
  cancelled: { reason: '请求已取消。', next: '无需任何操作。' },
  'malformed-answer': {
    reason: '应答与约定的格式不符。',
    next: '请刷新窗口；如再次出现，请反馈。',
  },
  // Captures and filters
  'capture-filter': {
    reason: '抓包过滤无法接受：{message}。',
    next: '请按 tcpdump 的写法，例如 host 10.0.0.1 and udp port 53（见 pcap-filter(7)）。',
  },
  'capture-filter-library': {
    reason: '本机没有编译过滤的 libpcap。',
    next: '请安装 libpcap（libpcap0.8 或 libpcap），或不加过滤抓包。',
  },
  'capture-too-many-interfaces': {
    reason: '同一网络命名空间里的 {count} 个接口超出了内核过滤能列举的数目。',
    next: '请在整个网络命名空间上抓包，或少选一些接口。',
  },
  'capture-ended': { reason: '抓包已结束。', next: '请重新开始。' },
  'capture-interface-gone': {
    reason: '抓包的接口已经不在了。',
    next: '请在其网络命名空间或现有的接口上抓包。',
  },
  'capture-places-gone': {
    reason: '抓包的接口全都不在了。',
    next: '请查看已抓到的数据包，或在现有的接口上重新开始。',
  },
  'capture-limit': { reason: '已有 {most} 个抓包在运行，这是上限。', next: '请先结束其中一个。' },
  'capture-cancelled': { reason: '抓包已被结束。', next: '需要时请重新开始。' },
  'unknown-capture': { reason: '没有这个抓包，或它已结束。', next: '请重新开始。' },
  'packet-not-kept': {
    reason: '数据包 {number} 没有保留：已被清除，或尚未到来。',
    next: '请选择列表中的数据包。',
  },
  'unknown-link': { reason: '接口已经不在了。', next: '请查看现有的接口，然后重试。' },
  'unknown-namespace-id': {
    reason: '网络命名空间已经不在了。',
    next: '请查看现有的网络命名空间，然后重试。',
  },
  'filter-syntax': {
    reason: '显示过滤在第 {position} 个字符处有语法错误。',
    next: '条件例如 tcp 或 ip.addr == 10.0.0.1，用 and、or、not 连接。',
  },
  'filter-unknown-field': {
    reason: '显示过滤在第 {position} 个字符处写了不存在的字段或协议。',
    next: '字段名与 Wireshark 相同；netloom dissect --fields 列出全部。',
  },
  'filter-wrong-type': {
    reason: '显示过滤在第 {position} 个字符处的值与字段的类型不符。',
    next: '请写与字段同类的值，例如 tcp.port == 80、eth.addr == 00:00:5e:00:53:01。',
  },
  'filter-pattern': {
    reason: '显示过滤在第 {position} 个字符处的正则表达式无法读取。',
    next: '可用 . [a-z] ^ $ ( ) | * + ? 以及花括号中的次数。',
  },
  'filter-too-long': {
    reason: '显示过滤太长：{length} 个字符。',
    next: '请用 in 和范围，或地址前缀。',
  },
  // Labs, plans and transactions
  'invalid-document': { reason: '实验文件有问题，见下。', next: '请改正后重试。' },
  'stale-plan': {
    reason: '计划生成之后，文件、当前版本或网络又有了变化。',
    next: '请重新规划，看看有何不同。',
  },
  'unknown-lab': { reason: '没有名为 {object} 的实验。', next: '请先从文件启动它。' },
  'unknown-revision': { reason: '没有这个版本：{object}。', next: '请在“历史”中查看保留的版本。' },
  'lab-name-taken': {
    reason: '已有名为 {object} 的实验，来自另一个文件。',
    next: '请换一个名称，或用本文件替换它。',
  },
  'lab-down': { reason: '实验 {object} 已停止，历史版本仍保留。', next: '请先启动它。' },
  'lab-gone': {
    reason: '实验 {object} 所在的运行环境已结束，历史版本仍保留。',
    next: '可恢复到版本 {revision}。',
  },
  'lab-not-up': { reason: '实验 {object} 没有在运行，无从检查。', next: '请先启动它。' },
  'lab-is-up': { reason: '实验 {object} 正在运行，停止时要用到它的历史。', next: '请先停止它。' },
  'lab-still-up': { reason: '实验 {object} 正在运行。', next: '请先停止它。' },
  'lab-up-elsewhere': {
    reason: '同名实验 {object} 正在另一个运行环境中运行。',
    next: '请先在那里停止它，或给本实验换个名称。',
  },
  'lab-without-file': {
    reason: '实验 {object} 的文件不见了。',
    next: '请停止该实验，或把某个版本另存为文件。',
  },
  'transaction-running': {
    reason: '该运行环境中正在变更实验 {object}。',
    next: '请等它结束后再试。',
  },
  'apply-cancelled': { reason: '对实验 {object} 的变更已取消。', next: '需要时请重新规划。' },
  'checks-cancelled': { reason: '实验 {object} 的检查已取消。', next: '需要时可重新运行。' },
  'rolled-back': {
    reason: '{object} 这一步失败，一切已恢复原状。',
    next: '请查看失败的原因后再试。',
  },
  'not-as-asked': {
    reason: '变更之后，内核的状态仍与实验 {object} 的要求不符。',
    next: '请查看剩余的步骤，可能有别的程序在改动同样的对象。',
  },
  'foreign-object': {
    reason: '{object} 没有本实验的标记，因此不会触碰。',
    next: '请手动改名或删除它，或在实验中换个名称。',
  },
  'object-missing': {
    reason: '{object} 已经不在了。',
    next: '请重新规划：期间网络被改动过。',
  },
  'interface-is-up': { reason: '{object} 已经启用。', next: '无需任何操作。' },
  'interface-is-down': { reason: '{object} 已经停用。', next: '请先启用它。' },
  'interface-bears-uplink': {
    reason: '{object} 承载着 {uplink} 的地址，停用会切断经由它的连接。',
    next: '请在文件中修改它的状态，届时计划会等待确认。',
  },
  'unknown-bridge': { reason: '这里没有网桥 {bridge}。', next: '请查看现有的对象后重试。' },
  // Realms and processes
  'agent-lost': { reason: '{object} 仍在运行，但代理没有应答。', next: '请重新启动代理。' },
  'realm-absent': { reason: '现在没有运行环境 {object}。', next: '请先启动一个实验。' },
  'program-missing': {
    reason: '这里没有程序 {object}。',
    next: '请填已安装的程序，或它的绝对路径。',
  },
  'unknown-session': { reason: '没有这个进程，或它已结束。', next: '请重新打开。' },
  // Uplinks and the deadline
  'uplink-of-two': {
    reason: '{interface} 已是 {other} 的上行接口，一个接口只能加入一个网桥。',
    next: '请为其中一个换一个接口。',
  },
  'uplink-is-member': {
    reason: '{interface} 已是 {other} 的端口。',
    next: '请换一个接口，或先在那里移除它。',
  },
  'uplink-not-possible': { reason: '{kind} 不能作网桥的端口。', next: '请换一个接口。' },
  'uplink-bridge-down': {
    reason: '{bridge} 处于关闭状态，上行接口 {interface} 会因此断开。',
    next: '请去掉 `state: down`，或去掉上行接口。',
  },
  'physical-port-missing': {
    reason: '没有接口 {interface}，不能作 {bridge} 的端口。',
    next: '请检查端口的名称。',
  },
  'physical-port-unfit': {
    reason: '{interface}（{kind}）不能作 Open vSwitch 网桥的端口。',
    next: '请另选接口。',
  },
  'physical-port-taken': {
    reason: '{interface} 已是 {master} 的端口。',
    next: '请先将它从 {master} 移除，或另选接口。',
  },
  'physical-port-addressed': {
    reason: '{interface} 有地址，接入后将无人可达：{addresses}。',
    next: '请先移除地址，或让它作 Linux 网桥的上行接口，由网桥接管地址。',
  },
  'physical-port-down': {
    reason: '{interface} 处于关闭状态，启用之前什么也不通。',
    next: '请用 `ip link set {interface} up` 启用。',
  },
  'uplink-missing': {
    reason: '没有接口 {interface}，不能作 {bridge} 的上行接口。',
    next: '请检查上行接口的名称。',
  },
  'uplink-unfit': {
    reason: '{interface}（{kind}）不能作网桥的端口。',
    next: '请为 {bridge} 另选上行接口。',
  },
  'uplink-is-port': {
    reason: '{interface} 已是 {master} 的端口。',
    next: '请先将它从 {master} 移除，或为 {bridge} 另选上行接口。',
  },
  'uplink-route-intricate': {
    reason: '经 {interface} 到 {to} 的路由带有无法原样恢复的设置。',
    next: '请删除该路由，或另选上行接口。',
  },
  'uplink-address-dynamic': {
    reason:
      '{interface} 上的地址 {address} 有期限，会留在原处而无法使用：DHCP 客户端应改在 {bridge} 上运行。',
    next: '',
  },
  'uplink-down': {
    reason: '上行接口 {interface} 处于关闭状态，打开之前 {bridge} 不通。',
    next: '',
  },
  'uplink-at-stake': {
    reason: '{interface} 的地址和路由会移到 {bridge}，经它连接的人可能会断线。',
    next: '',
  },
  'uplink-needs-deadline': {
    reason: '{interface} 是所在命名空间唯一的出口：没有期限，断线后谁也无法撤回。',
    next: '请设定确认期限，或先添加另一条默认路由。',
  },
  'nothing-awaits': {
    reason: '实验 {object} 没有等待确认的变更。',
    next: '请查看实验的状态：变更可能已确认或已撤回。',
  },
  'awaiting-confirmation': {
    reason: '实验 {object} 有一项变更正等待确认。',
    next: '请先确认或撤回它。',
  },
  'stale-token': {
    reason: '等待确认的已不是这项变更。',
    next: '请查看实验 {object} 的状态，再确认或撤回。',
  },
  'confirmed-too-late': {
    reason: '确认来得太晚，对实验 {object} 的变更已撤回，一切已恢复原状。',
    next: '请重新应用，并在期限内确认。',
  },
  'not-confirmed-in-time': {
    reason: '对实验 {object} 的变更没有及时确认，已撤回，一切已恢复原状。',
    next: '需要时请重新应用并确认。',
  },
  'watchdog-not-started': {
    reason: '看守进程没有启动，因此什么也没有改动。',
    next: '请查看状态目录的权限和空间后重试。',
  },
  'uplink-other-tables': {
    reason: '{object} 在主表之外还有路由，移动后无法保留。',
    next: '请删除这些路由，或另选上行接口。',
  },
  // The text
  'document-too-large': {
    reason: '文件有 {bytes} 字节，最多读取 {limit} 字节。',
    next: '请拆分成多个实验。',
  },
  'document-empty': {
    reason: '文件是空的。',
    next: '请以 `netloom: 1`、`name` 和 `topology` 开头。',
  },
  'yaml-syntax': { reason: '不是有效的 YAML：{message}。', next: '请在此处改正。' },
  'yaml-multiple-documents': {
    reason: '文件中有多个 YAML 文档。',
    next: '一个文件只能有一个实验。',
  },
  'yaml-aliases': { reason: '文件中的别名展开后过大。', next: '请把重复的部分写出来。' },
  'yaml-nesting': { reason: '文件嵌套过深。', next: '请减少层级。' },
  'duplicate-key': { reason: '键 {key} 出现了两次。', next: '请只保留一个。' },
  'unsafe-key': { reason: '{key} 不能用作键。', next: '请换一个名称。' },
  'too-many-problems': { reason: '问题超过 {limit} 个，其余未列出。', next: '请先改正这些。' },
  // The schema
  'unknown-key': { reason: '这里没有 {key} 这个键。', next: '请删除，或检查拼写。' },
  'unknown-key-near': { reason: '这里没有 {key} 这个键。', next: '是否应为 `{near}`？' },
  'missing-key': { reason: '缺少键 {key}。', next: '请补上。' },
  'wrong-type': { reason: '这里是 {actual}，应为 {expected}。', next: '请改正。' },
  'not-finite': { reason: '{value} 不是可用的数值。', next: '请填写有限的数值，如 2.5。' },
  'number-for-text': { reason: '这里是 {actual}，应为文本。', next: '请加上引号。' },
  'wrong-choice': { reason: '{value} 不在 {choices} 之中。', next: '请从中选择一个。' },
  'wrong-format': { reason: '{value} 不符合格式：{rule}。', next: '请改正。' },
  'wrong-value': { reason: '取值不符合要求：{rule}。', next: '请改正。' },
  'name-with-pattern': {
    reason: '内核会把 {name} 中的 % 替换成自己的编号。',
    next: '请只用字母、数字、`.`、`_` 和 `-`。',
  },
  'name-starts-wrong': {
    reason: '名称 {name} 不是以字母或数字开头，命令会把它当成别的东西。',
    next: '请以字母或数字开头。',
  },
  'name-too-long': {
    reason: '名称 {name} 有 {length} 个字符，内核只保留 15 字节。',
    next: '请用不超过 15 个字符的名称。',
  },
  'name-reserved': {
    reason: '名称 {name} 对内核或 `ip` 有特殊含义。',
    next: '请换一个名称。',
  },
  'name-characters': {
    reason: '名称 {name} 含有字母、数字、`.`、`_`、`-` 之外的字符。',
    next: '请只用这些字符。',
  },
  'name-empty': { reason: '名称为空。', next: '请填 1 到 15 个字母或数字。' },
  'not-an-endpoint': {
    reason: '{value} 不是“节点:接口”的形式。',
    next: '格式如 `r1:eth0`。',
  },
  'invalid-lab-name': {
    reason: '实验名 {name} 不是 1 到 32 个小写字母、数字或中间的连字符。',
    next: '请换一个名称。',
  },
  'invalid-mac': {
    reason: '{mac} 不是 MAC 地址。',
    next: '应为六个字节，如 `02:00:00:00:00:01`。',
  },
  // Nodes, links and interfaces
  'unknown-node': { reason: '没有名为 {node} 的节点。', next: '请添加该节点，或改正名称。' },
  'same-endpoints': {
    reason: '链路的两端都是 {endpoint}。',
    next: '两端应各有自己的接口。',
  },
  'duplicate-interface': {
    reason: '{place} 中已有接口 {interface}，由 {other} 创建。',
    next: '请换一个接口名。',
  },
  'interface-without-link': {
    reason: '没有链路创建 {node} 的接口 {interface}。',
    next: '请添加端点为 {node}:{interface} 的链路，或删除这些设置。',
  },
  'settings-of-bridge': {
    reason: '{interface} 是网桥，它的设置在自己的节点上。',
    next: '请移到节点 {interface}。',
  },
  'internet-twice': {
    reason: '实验中有两个代表外部网络的节点：{other} 和 {node}。',
    next: '请只保留一个。',
  },
  'internet-without-address': {
    reason: '{node} 的 {interface} 没有 IPv4 地址，无法经它转发。',
    next: '请为它设置一个地址，供其他节点作为网关。',
  },
  'no-route-to-internet': {
    reason: '{node} 与 {internet} 相邻，却没有默认路由。',
    next: '请添加一条经 {gateway} 的 `default` 路由。',
  },
  'not-a-namespace': {
    reason: '{node} 不是网络命名空间节点。',
    next: '请填一个命名空间节点。',
  },
  'too-many-ports': {
    reason: '网桥 {bridge} 有 {count} 个端口，内核最多允许 {limit} 个。',
    next: '请分到多个网桥上。',
  },
  'bridge-loop': {
    reason: '该链路使网桥成环，而环上没有网桥启用 STP：{bridges}。',
    next: '请在环上的网桥设置 `stp: true`，或删除一条链路。',
  },
  'unusable-mac': {
    reason: 'MAC 地址 {mac} 是组播地址或全零。',
    next: '请用单播地址，如 `02:00:00:00:00:01`。',
  },
  'duplicate-mac': { reason: 'MAC 地址 {mac} 已用于 {other}。', next: '每个接口应各用一个。' },
  'repeated-mac': { reason: 'MAC 地址 {mac} 也用于另一广播域的 {other}。', next: '' },
  'mtu-mismatch': {
    reason: '这里的 MTU 是 {mtu}，{other} 的是 {otherMtu}；较长的包会丢失。',
    next: '两端应使用相同的 MTU。',
  },
  'mtu-mismatch-at-bridge': {
    reason: '{bridge} 各端口 MTU 不同（{port} 为 {mtu}，{other} 为 {otherMtu}）；较长的包会丢失。',
    next: '同一网桥上的链路应使用相同的 MTU。',
  },
  'mtu-too-small-for-ipv6': {
    reason: 'MTU {mtu} 小于 IPv6 要求的 1280，内核会丢掉 {address}。',
    next: '请增大 MTU，或删除该 IPv6 地址。',
  },
  // Addresses
  'invalid-address': {
    reason: '{address} 不是带前缀长度的 IPv4 或 IPv6 地址。',
    next: '格式如 `172.16.0.1/24` 或 `fd00::1/64`。',
  },
  'address-without-prefix': {
    reason: '地址 {address} 没有前缀长度。',
    next: '请加上，如 `{address}/{length}`。',
  },
  'prefix-out-of-range': {
    reason: '{address} 的前缀长度超过 {limit}。',
    next: '请取 0 到 {limit} 之间的值。',
  },
  'special-address': {
    reason: '{address} 不能用作接口地址：{sort}。',
    next: '请换一个普通地址。',
  },
  'duplicate-address': { reason: '地址 {address} 已用于 {other}。', next: '请换一个地址。' },
  'repeated-address': { reason: '地址 {address} 也用于另一广播域的 {other}。', next: '' },
  'network-address': {
    reason: '{address} 是子网本身的地址。',
    next: '除非有意如此，请换一个地址。',
  },
  'broadcast-address': { reason: '{address} 是子网的广播地址。', next: '请换一个地址。' },
  'out-of-range': {
    reason: '{value} 超出允许的范围，界限为 {limit}。',
    next: '请填写范围内的值。',
  },
  'wrong-length': { reason: '长度不符合要求，界限为 {limit}。', next: '请调整长度。' },
  // Routes
  'invalid-route': {
    reason: '{to} 不是有效的目的网段。',
    next: '可填 `default`、`10.0.0.0/8` 这样的网段或一个地址。',
  },
  'prefix-with-host-bits': { reason: '{to} 在前缀之外还有主机位。', next: '应写作 {canonical}。' },
  'route-without-target': {
    reason: '到 {to} 的路由既没有网关也没有设备。',
    next: '请加上 `via` 或 `dev`。',
  },
  'invalid-gateway': { reason: '网关 {via} 不是地址。', next: '请填不带前缀长度的地址。' },
  'gateway-of-other-family': {
    reason: '网关 {via} 与目的 {to} 不是同一地址族。',
    next: '请用同一地址族的网关。',
  },
  'gateway-outside-subnets': {
    reason: '网关 {via} 不在 {place} 的任何子网中。',
    next: '请用该节点子网内的网关，或添加地址。',
  },
  'gateway-is-own': {
    reason: '网关 {via} 是该节点自己的地址。',
    next: '请填邻居的地址。',
  },
  'gateway-needs-device': {
    reason: '链路本地网关 {via} 必须指明经由哪个设备。',
    next: '请加上 `dev`。',
  },
  'route-device-unknown': {
    reason: '{node} 没有接口 {dev}。',
    next: '请填该节点的接口。',
  },
  'route-device-down': { reason: '接口 {dev} 停用期间，到 {to} 的路由不生效。', next: '' },
  'duplicate-route': {
    reason: '已有到 {to} 且度量为 {metric} 的路由。',
    next: '请删除其一，或改用其他度量。',
  },
  'route-is-connected': {
    reason: '到 {to} 的路由由内核根据 {address} 自动生成。',
    next: '请删除这条路由。',
  },
  // Checks and positions
  'check-from-bridge': {
    reason: '{node} 是网桥；检查要从命名空间发起。',
    next: '请填一个命名空间节点。',
  },
  'check-from-machine': {
    reason: '{node} 是虚拟机；检查要从命名空间发起。',
    next: '请填一个命名空间节点，可以从它检查 {node}。',
  },
  'check-without-collector': {
    reason: '{node} 没有采集器，收不到任何记录。',
    next: '请为该节点配置采集器，或改填有采集器的节点。',
  },
  'collector-not-running': {
    reason: '{node} 的采集器没有运行，收不到记录。',
    next: '请查看它的输出；重新规划并应用即可再次启动。',
  },
  'check-protocol-not-collected': {
    reason: '{node} 的采集器没有监听 {protocol}。',
    next: '请为它配置 {protocol} 的端口。',
  },
  'check-target-without-address': {
    reason: '{target} 没有地址。',
    next: '请给它一个地址，或直接填地址。',
  },
  'check-target-unknown': {
    reason: '{target} 既不是节点、接口，也不是地址。',
    next: '请改正名称。',
  },
  'check-target-no-node': {
    reason: '{target} 不是实验中的节点；测量速率需要收发两端。',
    next: '请填写节点名。',
  },
  'check-family-missing': { reason: '{node} 没有与 {target} 同一地址族的地址。', next: '' },
  'position-of-unknown-node': { reason: '没有名为 {node} 的节点，其位置未使用。', next: '' },
  // Devices
  'unknown-interface': {
    reason: '{node} 没有接口 {interface}。',
    next: '请填该节点的接口，或先添加它。',
  },
  'device-on-itself': {
    reason: '{interface} 会建立在自己之上：{circle}。',
    next: '请换一个下层设备。',
  },
  'parent-down': {
    reason: '下层的 {parent} 停用时，{interface} 无法启用。',
    next: '请启用 {parent}，或停用 {interface}。',
  },
  'duplicate-vlan': {
    reason: '{parent} 的 VLAN {id} 已由 {other} 使用。',
    next: '请换一个 VLAN，或删除其一。',
  },
  'member-of-two': {
    reason: '{interface} 已属于 {other}；一个接口只能有一个主设备。',
    next: '请从其中一个移除。',
  },
  'member-is-master': { reason: '{interface} 不能是自己的成员。', next: '请移除。' },
  'member-with-address': {
    reason: '{interface} 属于 bond 设备 {bond}，地址应配在 {bond} 上。',
    next: '请把地址移到 {bond}。',
  },
  'bond-without-members': { reason: 'bond 设备 {bond} 没有成员，因此没有载波。', next: '' },
  'mac-not-possible': { reason: '{kind} 设备没有 MAC 地址。', next: '请删除 `mac`。' },
  'unlike-ends': {
    reason: '隧道的本端地址 {local} 与对端地址 {remote} 不是同一地址族。',
    next: '请使用同一地址族的两个地址。',
  },
  'mtu-beyond-tunnel': {
    reason: '{mtu} 字节的包无法完整通过：下层的 {underlay} 最多承载 {limit} 字节。',
    next: 'MTU 请不超过 {limit}，或不填。',
  },
  'address-outside-link': {
    reason: '地址 {address} 不在链路另一端 {other} 的任何子网中。',
    next: '请使用 {subnet} 中的地址。',
  },
  'vlan-without-filtering': {
    reason: '网桥 {bridge} 未开启 VLAN 过滤，{port} 的 VLAN 设置不起作用。',
    next: '请在 {bridge} 上设置 `vlanFiltering: true`。',
  },
  'access-and-trunk': {
    reason: '{port} 既是 VLAN {vlan} 的接入口，又是中继口。',
    next: '`vlan` 与 `trunk` 请只保留一个。',
  },
  'native-without-trunk': {
    reason: '{port} 指定了本征 VLAN，却不是中继口。',
    next: '请加上 `trunk`；若是接入口，请改用 `vlan`。',
  },
  'vlan-not-at-bridge': {
    reason: '网桥 {bridge} 自身不在 VLAN {id} 中，{interface} 收不到任何帧。',
    next: '请把 {id} 加入 {bridge} 的 `vlans`。',
  },
  'vlan-alone': {
    reason: '除 {port} 外没有端口承载 VLAN {id}。',
    next: '请在另一个端口加上该 VLAN。',
  },
  'tunnel-to-itself': { reason: '隧道的两端都在 {node}。', next: '请为其中一端换一个节点。' },
  'tunnel-at-bridge': {
    reason: '{node} 是网桥；隧道的两端应是网络命名空间中的 tap 或 tun。',
    next: '请改到命名空间，或在网桥上使用 VXLAN 或 GRETAP。',
  },
  'tunnel-at-machine': {
    reason: '{node} 是虚拟机；隧道的两端应是网络命名空间中的 tap 或 tun。',
    next: '请改到与该虚拟机相连的命名空间。',
  },
  'tunnel-without-device': {
    reason: '{endpoint} 既不是 tap 也不是 tun。',
    next: '请把 {endpoint} 的类型设为 tap 或 tun。',
  },
  'tunnel-of-unlike-devices': {
    reason: '{endpoint} 是 {kind}，{other} 是 {otherKind}：以太网帧与 IP 包不能互通。',
    next: '两端请使用同一类型。',
  },
  'tunnel-device-taken': {
    reason: '{endpoint} 已是另一条隧道的端点。',
    next: '每条隧道请使用各自的设备。',
  },
  'underlay-not-own': {
    reason: '{address} 不是 {node} 的地址。',
    next: '请填 {node} 其他接口上的地址。',
  },
  'jitter-without-delay': {
    reason: '{what}以时延为前提。',
    next: '请加上 `delay`，或删除 `{key}`。',
  },
  'rate-too-low': { reason: '速率 {rate} 低于 8 bit/s。', next: '请取更高的值。' },
  // Rules and processes
  'invalid-prefix': {
    reason: '{text} 既不是地址也不是网段。',
    next: '格式如 `10.0.0.0/24` 或 `fd00::1`。',
  },
  'invalid-host': { reason: '{text} 不是地址。', next: '请填不带前缀长度的地址。' },
  'families-differ': {
    reason: '{one} 与 {other} 不是同一地址族。',
    next: '请使用同一地址族的地址。',
  },
  'port-without-protocol': {
    reason: '没有指定 tcp 或 udp，端口没有意义。',
    next: '请加上 `protocol: tcp` 或 `protocol: udp`。',
  },
  'invalid-port-range': {
    reason: '{text} 不是端口范围。',
    next: '小的端口在前，两者都在 1 到 65535 之间。',
  },
  'nat-without-forwarding': {
    reason: '{node} 有地址转换规则却不转发数据包，规则不会生效。',
    next: '请设置 `forwarding: true`。',
  },
  'duplicate-process': {
    reason: '{node} 已有名为 {name} 的进程。',
    next: '请换一个名称。',
  },
  // Virtual machines
  'machine-on-host': {
    reason: '{node} 是虚拟机，目前只能在沙箱里运行。',
    next: '请在沙箱中启动该实验。',
  },
  'machine-to-machine': {
    reason: '{node} 与 {other} 都是虚拟机；网卡的另一端必须是网络里的 tap。',
    next: '请把两者都接到同一座网桥上。',
  },
  'machine-in-two-namespaces': {
    reason: '{node} 的网卡通向不同的命名空间（{one}、{other}），而所有 tap 都由同一个进程打开。',
    next: '请把它接到同一个命名空间，或同一命名空间里的网桥。',
  },
  'machine-without-kernel': {
    reason: '{node} 写了 `{key}`，却没有使用它的 `kernel`。',
    next: '请填写 `kernel`，或删除 `{key}`。',
  },
  'machine-routes-unused': {
    reason: '{node} 运行自己的系统，不会有人替它设置这些路由。',
    next: '请在虚拟机内部设置，并从这里删除。',
  },
  'machine-command-line-too-long': {
    reason: '要告诉 {node} 的内容有 {length} 字节，内核命令行最多 {limit} 字节。',
    next: '请减少地址、路由或附加的参数。',
  },
  'machine-runs-no-command': {
    reason: '{node} 是虚拟机，命令要在它里面的控制台上运行。',
    next: '请打开控制台：netloom shell {lab} {node}。',
  },
  'console-taken': {
    reason: '{node} 的控制台已经打开，而它只有一个。',
    next: '请使用已打开的那个，或先关闭它。',
  },
  'machine-not-running': {
    reason: '虚拟机 {node} 没有在运行。',
    next: '请重新规划并应用，即可重新启动它。',
  },
  'guest-system-lacks': {
    reason: '无法制作虚拟机用的小系统：{reason}',
    next: '请安装缺少的东西，或为虚拟机指定内核或磁盘。',
  },
  // Open vSwitch
  'ovs-datapaths-mixed': {
    reason: '{bridge} 与 {other} 共用一个 Open vSwitch，却要求不同的数据路径。',
    next: '请让二者相同，或去掉该项。',
  },
  'ovs-datapath-differs': {
    reason: '{place} 的 Open vSwitch 使用数据路径 {there}，而实验要求 {wanted}。',
    next: '请去掉该项，或先结束正在使用该 Open vSwitch 的内容。',
  },
  'ovs-datapath-taken': {
    reason: '{place} 中另一个 Open vSwitch 占用了数据路径 {datapath}，第二个无法使用。',
    next: '请结束那个 Open vSwitch，或把网桥放入实验的命名空间中。',
  },
  'ovs-datapath-stays': {
    reason: '内核保留了已结束的交换机的数据路径：{detail}。',
    next: '查看是哪个进程占用它，然后重试。',
  },
  'stp-and-rstp': { reason: '{bridge} 同时开启了 STP 和 RSTP。', next: '请只保留其中一个。' },
  'tree-setting-unused': { reason: '`{key}` 不起作用：{bridge} 的生成树用不到它。', next: '' },
  'stp-cost-too-high': {
    reason: 'STP 的路径开销最大为 {limit}，{port} 超出了。',
    next: '请减小 `cost`，或改用 RSTP。',
  },
  'native-mode-without-native': {
    reason: '{port} 写明了本征 VLAN 如何发出，却没有本征 VLAN。',
    next: '请加上 `native`，或删除 `nativeMode`。',
  },
  'qos-not-possible': {
    reason: '{port} 是 {kind} 端口，自己没有队列，`{key}` 不起作用。',
    next: '请写在数据帧真正离开的端口上。',
  },
  'qos-and-impairment': {
    reason: '{port} 同时有 `qos` 和链路损伤，而一个接口的根上只能有一个队列规则。',
    next: '请把链路损伤放到链路的另一端。',
  },
  'ovs-rate-too-low': { reason: '速率 {rate} 低于 1 kbit/s。', next: '请提高速率。' },
  'queue-rates-swapped': {
    reason: '{port} 的队列 {queue} 的保证速率高于上限。',
    next: '请改正其中一个速率。',
  },
  'bond-member-not-link': {
    reason: '{interface} 不是 {node} 上的链路端点，不能作 {bond} 的成员。',
    next: '请填写 {node} 上有链路的端口。',
  },
  'bond-member-setting': {
    reason: '{interface} 是 {bond} 的成员，`{key}` 应写在 Bond 上。',
    next: '请移到 {bond}。',
  },
  'bond-setting': { reason: '`{key}` 应写在 Bond {bond} 的成员上。', next: '请移到各成员。' },
  'balance-tcp-without-lacp': {
    reason: 'Bond {bond} 按 TCP 连接均衡需要 LACP，没有它什么都不通。',
    next: '请设 `lacp: active`，或改用 `balance-slb`。',
  },
  'bridge-loop-past-tree': {
    reason:
      '这条链路接成了环路，没有生成树能断开它：{bridge} 没有生成树，还会丢弃其他网桥的 BPDU：{bridges}。',
    next: '请在 {bridge} 上设置 `rstp: true` 或 `stp: true`，或删除一条链路。',
  },
  'bonds-choose-apart': {
    reason: '绑定 {bond} 一次只用一条链路，对端的 {other} 可能选中另一条：那样什么也通不过。',
    next: '请在两端都设置 `lacp: active`，或让链路接到各自的端口上。',
  },
  'duplicate-tunnel': {
    reason: '{port} 与 {other} 是同一条隧道，Open vSwitch 只会建立其中一条。',
    next: '请使用不同的 key，或删除一条。',
  },
  'tunnel-without-route': {
    reason: '{node} 没有到 {remote} 的路。',
    next: '请让 {node} 在自己的网桥上有同网段的地址，或加一条路由。',
  },
  'underlay-on-link': {
    reason:
      '隧道 {port} 要走 {node} 的 {interface}，而 Open vSwitch 只从自己的网桥发送隧道报文，因此不会通。',
    next: '请在 {node} 里加一个 `uplink: {interface}` 的 ovs-bridge，由它接管地址。',
  },
  'mtu-beyond-ovs-tunnel': {
    reason: '{mtu} 字节的报文无法整个通过隧道 {port}：底层 {underlay} 最多承载 {limit} 字节。',
    next: '',
  },
  'mirror-port-unknown': {
    reason: '端口镜像 {mirror} 写了 {port}，而 {bridge} 没有这个端口。',
    next: '请改正名称。',
  },
  'mirror-output-selected': {
    reason: '端口镜像 {mirror} 会把 {port} 的流量复制到 {port} 自己。',
    next: '请换一个输出端口，或不镜像 {port}。',
  },
  'mirror-selects-nothing': {
    reason: '端口镜像 {mirror} 没有复制任何流量。',
    next: '请加上 `all: true`、端口或 VLAN。',
  },
  'invalid-target': {
    reason: '{text} 不是带端口的地址。',
    next: '请写成 `10.0.0.1:2055` 或 `[fd00::1]:2055` 的形式。',
  },
  'invalid-controller': {
    reason: '{text} 不是控制器。',
    next: '请写成 `tcp:10.0.0.1:6653` 的形式。',
  },
  'protocols-too-old': {
    reason: '{bridge} 有 {what}，OpenFlow 自 {version} 才支持，而 `protocols` 不包括它。',
    next: '请把 {version} 加进 `protocols`，或删除 `protocols`。',
  },
  'unknown-group': {
    reason: '流表项指向组 {number}，而 {bridge} 没有它。',
    next: '请把它加进 `groups`。',
  },
  'unknown-meter': {
    reason: '流表项指向 meter {number}，而 {bridge} 没有它。',
    next: '请把它加进 `meters`。',
  },
  'patch-not-at-bridge': {
    reason: '{node} 不是 Open vSwitch 网桥，patch 只能连接两个这样的网桥。',
    next: '请改用不带 `type: patch` 的链路。',
  },
  'patch-across-namespaces': {
    reason: '{bridge} 与 {other} 在不同的命名空间，分属不同的 Open vSwitch。',
    next: '请改用不带 `type: patch` 的链路，或用隧道。',
  },
  'patch-to-itself': { reason: 'Patch 的两端都在 {bridge}。', next: '请为其中一端换一个网桥。' },
  'patch-setting': {
    reason: '{port} 是 patch 端口，不是接口，没有 `{key}`。',
    next: '请删除 `{key}`。',
  },
  'physical-port-inside': {
    reason: '本机接口 {interface} 不在此网桥所在的 {node} 里。',
    next: '请用链路把它接到主机自身命名空间里的网桥，由那座网桥使用该端口。',
  },
  'ovs-uplink-not-made': {
    reason:
      '{bridge} 的上行接口 {interface} 不是其命名空间里的链路端点，Open vSwitch 网桥的上行接口只能是这样的接口。',
    next: '请填写那里的链路端点，或为网桥添加 `physical` 端口；要接管地址，请改用 Linux 网桥。',
  },
  'ovs-bridge-taken': {
    reason: 'Open vSwitch 网桥 {name} 已存在，且不属于本实验。',
    next: '请给节点改名，或删除该网桥。',
  },
  'ovs-bridge-of-other-lab': {
    reason: 'Open vSwitch 网桥 {name} 属于实验 {other}。',
    next: '请给节点改名，或停止实验 {other}。',
  },
  'ovs-not-running': {
    reason: '本机没有运行 Open vSwitch。',
    next: '请用 `systemctl start openvswitch-switch` 启动，或在沙箱中启动实验。',
  },
  'policing-without-effect': {
    reason: '用户态数据路径接受 {port} 的入方向限速，但不会丢弃任何报文；meter 有效。',
    next: '',
  },
  'queues-without-effect': {
    reason: '用户态数据路径不会把报文放进 {port} 的队列；它的 `maximumRate` 有效。',
    next: '',
  },
  'kernel-lacks': {
    reason: '{object} 需要 {capability}，而本机没有（{reason}）。',
    next: '`netloom doctor` 会说明如何补上；也可以从实验中删除它。',
  },
  'internet-not-allowed': {
    reason: '{node} 代表外部网络，而该运行环境还没有获准访问外部。',
    next: '请为该运行环境允许：在窗口中重新规划，或运行 netloom up FILE --internet。',
  },
  'internet-in-host': {
    reason: '{node} 代表沙箱之外，而主机环境本来就在外面。',
    next: '请使用本机自己的接口，或在沙箱中启动该实验。',
  },
  'internet-taken': {
    reason: '该运行环境中另一个实验已占用外部出口，或有人在那里设置了我们的规则。',
    next: '请停止那个实验，或让本实验使用自己的运行环境。',
  },
  'internet-missing': {
    reason: 'pasta 和 slirp4netns 都没有安装；沙箱访问外部网络需要其中之一。',
    next: '请安装：sudo apt-get install passt。',
  },
  'internet-refused': {
    reason: '未能为 {realm} 打开外部出口。',
    next: '请确认本机自己有默认路由，并查看该运行环境目录中的 internet.log。',
  },
  'queueing-taken': {
    reason: '{name} 已有排队规则（{kind}），且不属于本实验。',
    next: '请用 `tc qdisc del` 删除，或去掉链路损伤。',
  },
  'nft-missing': {
    reason: '节点的规则需要程序 nft，而这里没有安装。',
    next: '请安装软件包 {package} 后重试。',
  },
  'nft-refused': { reason: 'nft 拒绝了规则：{message}', next: '请改正规则后重试。' },
  'program-relative': {
    reason: '{namespace} 的进程 {name}：程序既不是程序名，也不是绝对路径。',
    next: '请填程序的完整路径。',
  },
  'command-too-large': {
    reason: '{namespace} 的进程 {name}：命令过长。',
    next: '请写进文件，再运行该文件。',
  },
  'run-stays': {
    reason: '{namespace} 的进程 {name} 没有结束。',
    next: '请看看它在等待什么；等待设备的进程无法被结束。',
  },
  // Plans
  'namespace-taken': {
    reason: '命名空间 {name} 已存在，且不属于本实验。',
    next: '请重命名节点，或删除该命名空间。',
  },
  'namespace-of-other-lab': {
    reason: '命名空间 {name} 属于实验 {other}。',
    next: '请重命名节点，或停止实验 {other}。',
  },
  'interface-taken': {
    reason: '接口 {name} 已存在，且不属于本实验。',
    next: '请在实验中改名，或删除该接口。',
  },
  'interface-of-other-lab': {
    reason: '接口 {name} 属于实验 {other}。',
    next: '请在实验中改名，或停止实验 {other}。',
  },
  'address-taken': {
    reason: '{interface} 上已有地址 {address}，且不属于本实验。',
    next: '请删除该地址，或换一个。',
  },
  'route-taken': {
    reason: '{place} 中已有到 {to} 且度量为 {metric} 的路由，且不属于本实验。',
    next: '请删除该路由，或改用其他度量。',
  },
  'foreign-address': {
    reason: '{interface} 上的地址 {address} 不属于本实验，予以保留。',
    next: '',
  },
  'foreign-address-lost': {
    reason: '{interface} 上的地址 {address} 不属于本实验，但会随此变更消失。',
    next: '',
  },
  'foreign-route': { reason: '{place} 中到 {to} 的路由不属于本实验，予以保留。', next: '' },
  'foreign-route-lost': {
    reason: '{place} 中到 {to} 的路由不属于本实验，但会随此变更消失。',
    next: '',
  },
  'foreign-interface-lost': {
    reason: '接口 {name} 不属于本实验，但会随其命名空间消失。',
    next: '',
  },
  'foreign-port-released': {
    reason: '接口 {name} 不属于本实验，网桥 {bridge} 会将其释放。',
    next: '',
  },
  'processes-lose-name': {
    reason: '命名空间 {name} 中仍有 {count} 个进程，它们结束前命名空间不会释放。',
    next: '结束这些进程即可释放。',
  },
  'run-as-root': {
    reason:
      '{place} 中的进程 {name} 会以 root 身份在本机上运行；在主机环境中，实验的进程从不这样运行。',
    next: '请以已登记的用户启动实验（netloom agent enrol 用户），或在沙箱中启动。',
  },
  'unknown-person': {
    reason: '本机没有 uid 为 {uid} 的用户，无法以其身份运行。',
    next: '请检查账户：getent passwd。',
  },
  'only-root': { reason: '主机环境的代理属于 root。', next: '请用 root 操作。' },
  'foreign-node': {
    reason: '命名空间 {node} 不再带有实验 {lab} 的标记，可能已属于别人。',
    next: '请重新规划该实验，查看有何变化。',
  },
  'bridge-filtered': {
    reason:
      '经过网桥 {name} 的帧会经过本机防火墙（net.bridge.bridge-nf-call 已打开），其中 {chain} 会丢弃未放行的流量。',
    next: '',
  },
  'out-of-reach': {
    reason: '本实验的接口 {name} 位于没有名称的命名空间中，暂时保留。',
    next: '请结束占用该命名空间的进程。',
  },
  // CPU splits
  'cpu-processes-stay': {
    reason: '进程没有离开该组。',
    next: '请查看它们是什么；绑定在某个 CPU 上的内核线程不能移动。',
  },
  'cpu-groups-limited': {
    reason: '{directory} 的上级不允许再有更多、或更深的控制组。',
    next: '请调高那里的 cgroup.max.descendants 或 cgroup.max.depth，或减少组的数量。',
  },
  'cpu-not-as-written': {
    reason: '内核接受了 {wanted}，显示的却是 {shown}。',
    next: '请查看其上级组，以及还有谁在修改该文件。',
  },
  'cpu-no-groups': {
    reason: '此环境中已没有放置 CPU 组的地方。',
    next: '请查看 netloom doctor，并按原来的方式启动代理。',
  },
  'cpu-too-few-cores': {
    reason: '该划分面向 {cores} 个 CPU，而本机有 {has} 个。',
    next: '请按比例缩小所有上限，或修改 `cores`。',
  },
  'cpu-scaled-too-small': {
    reason: '按比例缩小后，{group} 的上限由 {cap} 核变为 {scaled} 核；内核允许的最小值为 {least}。',
    next: '请调高该上限，或使用 CPU 更多的机器。',
  },
  'cpu-no-split': {
    reason: '实验 {lab} 的文档没有 CPU 划分。',
    next: '请添加 `cpu` 及其各组。',
  },
  'cpu-pins-not-here': {
    reason: '{group} 绑定到 CPU {cpu}，而本机没有或不提供该 CPU。',
    next: '请绑定到存在的 CPU。',
  },
  'cpu-machine-lacks': {
    reason: '{group} 需要 {what}，本机不具备。',
    next: '请去掉它，或换一台机器。`netloom doctor` 会列出本机具备什么。',
  },
  'cpu-no-partitions': {
    reason: '{group} 要独占 CPU，但实验各组所在的 {base} 自身没有独占的 CPU 可分。',
    next: '请去掉 `partition`：在实验内，别人没有绑定的 CPU 效果相同。',
  },
  'cpu-partition-refused': {
    reason: '内核不让 {group} 独占 CPU {pins}；内核称：{said}。',
    next: '请绑定本机其他组没有绑定的 CPU，并给别人留下一些；或去掉 `partition`。',
  },
  'cpu-cap-above-parent': {
    reason: '{group} 的上限 {cap} 核高于 {parent} 的上限，cgroup v1 不接受。',
    next: '请调低，或去掉：没有上限时以上级的为准。',
  },
  'cpu-no-controller': {
    reason: '本机没有任何控制组层级带有 `cpu` 控制器。',
    next: '请启动带有该控制器的内核（CONFIG_CFS_BANDWIDTH），且不要设 cgroup_disable=cpu。',
  },
  'cpu-in-sandbox': {
    reason: 'CPU 组属于整台机器，而没有人为此沙箱提供控制组。',
    next: '请在属于您的组中启动它（若已在运行，请先执行 netloom down {lab}）：systemd-run --user --scope -p Delegate=yes netloom up {lab}。没有 systemd 时，请在启动它的终端中执行一次，为自己准备一个组：for d in {mounts}; do g=$d/netloom-$(id -un); sudo mkdir -p $g; for c in cpu cpuset; do [ ! -e $d/cgroup.subtree_control ] || echo +$c | sudo tee $d/cgroup.subtree_control; done; for f in cpuset.cpus cpuset.mems; do [ ! -e $d/$f ] || sudo tee $g/$f <$d/$f; done; sudo chown -R $(id -u) $g; echo $$ | sudo tee $g/cgroup.procs; done',
  },
  'cpu-in-sandbox-v1': {
    reason: 'CPU 组属于整台机器，而没有人为此沙箱提供控制组。',
    next: '请在启动它的终端中执行一次，为自己准备一个组（若沙箱已在运行，请先执行 netloom down {lab}）：for d in {mounts}; do g=$d/netloom-$(id -un); sudo mkdir -p $g; for c in cpu cpuset; do [ ! -e $d/cgroup.subtree_control ] || echo +$c | sudo tee $d/cgroup.subtree_control; done; for f in cpuset.cpus cpuset.mems; do [ ! -e $d/$f ] || sudo tee $g/$f <$d/$f; done; sudo chown -R $(id -u) $g; echo $$ | sudo tee $g/cgroup.procs; done',
  },
  'cpu-agent-outside': {
    reason: '该沙箱的控制组是 {place}，而其代理在组外启动，无法进入。',
    next: '请结束代理（netloom agent stop --realm {realm}），并在启动沙箱的地方重新启动它。',
  },
  'cpu-place-missing': {
    reason: '没有可在其中创建 CPU 组的控制组 {base}。',
    next: '请创建它，或用 NETLOOM_CPU_CGROUP 指定另一个，然后重新启动代理。',
  },
  'cpu-place-read-only': {
    reason: '{base} 处的控制组以只读方式挂载，无法更改 CPU 组。',
    next: '请以可写方式挂载；若在容器中，请以可写的控制组启动容器。',
  },
  'cpu-holder-foreign': {
    reason: '本实验的 CPU 组应由单元 {unit} 占位，而 systemd 中已有同名单元，且不属于 Netloom。',
    next: '请更改实验或该单元的名称（systemctl cat {unit} 可查看它）。',
  },
  'cpu-holder-refused': {
    reason: 'systemd 拒绝了 {unit}：{said}',
    next: '请查看 systemctl status {unit}。',
  },
  'cpu-holder-lacks': {
    reason: 'systemd 已启动 {unit}，但它缺少 {what}。',
    next: '请查看 systemctl status {unit}，以及内核是否提供（cat /sys/fs/cgroup/cgroup.controllers）。',
  },
  'cpu-holder-stays': {
    reason: '{base} 仍然存在。',
    next: '请查看其中还有谁（systemd-cgls {base}）。',
  },
  'cpu-under-systemd': {
    reason: '本机的控制组（第 1 版）由 systemd 管理；不是它创建的组，其限制会被它收回。',
    next: '请为 Netloom 单独提供一个组：sudo systemd-run --unit netloom-cpu -p "Delegate=cpu cpuset" -p DelegateSubgroup=holder sleep infinity，再以 NETLOOM_CPU_CGROUP=/system.slice/netloom-cpu.service 启动代理。',
  },
  'check-without-split': {
    reason: '该检查要测量 CPU 组 {group}，而文档没有 `cpu`。',
    next: '请添加 `cpu` 及其各组，或删除该检查。',
  },
  'check-against-itself': {
    reason: '{other} 就是 {group}，或两者一个包含另一个：它们不会作为两方竞争。',
    next: '请指定与它并列的组。',
  },
  'check-above-ceiling': {
    reason: '{group} 最多能用 {ceiling} 核，而检查期望 {cores} 核。',
    next: '请调低 `cores`，或放宽限制它的上限。',
  },
  'cpu-bind-no-split': {
    reason: '实验 {lab} 没有可以绑定进程的 CPU 组。',
    next: '请在文档中添加 `cpu` 及其各组，然后应用。',
  },
  'cpu-bind-no-cpus': {
    reason: '{group} 已没有 CPU：其内的组独占了全部。',
    next: '请绑定到其中一个组，或去掉其中一组的 `partition`。',
  },
  'cpu-bind-no-group': {
    reason: '实验 {lab} 没有 CPU 组 {group}。',
    next: '请使用 `netloom cpu show {lab}` 列出的组；`/` 是根。',
  },
  'cpu-bind-no-process': {
    reason: '没有进程 {pid}，或它已经结束。',
    next: '请重新查找。',
  },
  'cpu-bind-not-bound': {
    reason: '没有人把进程 {pid} 绑定到实验 {lab} 的组。',
    next: '请指定手动绑定的进程；文档中的进程由其 `cpu` 决定去向。',
  },
  'cpu-bind-kernel-thread': {
    reason: '{name} 是内核线程：它属于整台机器，且常常固定在某个 CPU 上。',
    next: '请不要移动它。',
  },
  'cpu-bind-first-process': {
    reason: '{name} 是第一个进程，机器或沙箱靠它运行。',
    next: '请逐个绑定由它启动的进程。',
  },
  'cpu-bind-agent': {
    reason: '这是 Netloom 自己的代理：若被上限压住，它就无法再解除上限。',
    next: '请不要移动它。',
  },
  'cpu-bind-foreign': {
    reason: '{name} 是另一用户（uid {uid}）的进程。',
    next: '请绑定自己的进程，或以 root 身份操作。',
  },
  'cpu-bind-unit': {
    reason: '{name} 属于 systemd 单元 {unit}；移走后 systemd 会失去对它的掌握。',
    next: '请限制该单元本身：systemctl set-property {unit} CPUQuota=… CPUWeight=…。',
  },
  'cpu-bind-run': {
    reason: '{name} 属于实验 {lab} 运行的进程 {run}：它归哪个组由文档决定。',
    next: '请在该进程或其节点处用 `cpu` 写明组的路径，然后应用。',
  },
  'cpu-bind-realtime': {
    reason: '{name} 使用实时调度策略，而内核没有给该组实时预算。',
    next: '请先改为普通策略：chrt --other --pid 0 {pid}。',
  },
  'cpu-bind-outside': {
    reason: '{name} 在该沙箱获得的控制组之外启动，只有 root 能把它移入。',
    next: '请从实验的控制台启动它，然后再绑定。',
  },
  'cpu-bind-refused': {
    reason: '内核不让这些进程进入该组（{errno}）；它们都还在原处。',
    next: '请查看该组的状态：netloom cpu show。',
  },
  'cpu-group-name': {
    reason: '组名 {name} 不符合要求：1 至 63 个字母、数字、`.`、`_` 或 `-`，且以字母或数字开头。',
    next: '请换一个名称。',
  },
  'cpu-group-reserved': {
    reason: '{name} 是内核在每个控制组中已有或可能有的文件名。',
    next: '请换一个不以“控制器名加点”开头的名称。',
  },
  'cpu-too-many-groups': {
    reason: '划分中有 {count} 个组，最多创建 {limit} 个。',
    next: '请减少一些。',
  },
  'cpu-cap-too-small': {
    reason: '{group} 的上限为 {cores} 核；内核允许的最小值为 {least}，即每秒一毫秒。',
    next: '请不小于该值；若不设上限，请去掉 `cap`。',
  },
  'cpu-cap-inexact': {
    reason: '{group} 的上限 {cores} 核无法写成内核的配额。',
    next: '请选择较小的上限。',
  },
  'cpu-burst-without-cap': {
    reason: '{group} 设了突发量，却没有可以超出的上限。',
    next: '请设置上限，或去掉突发量。',
  },
  'cpu-burst-above-cap': {
    reason: '{group} 的突发量为 {burst} 核，高于其上限 {cap} 核，内核不接受。',
    next: '突发量请不要超过上限。',
  },
  'cpu-idle-with-weight': {
    reason: '{group} 既是空闲组又设了权重；内核只给空闲组最小的权重。',
    next: '请只保留其一。',
  },
  'cpu-invalid-pins': {
    reason: '{pins} 不是 CPU 列表：区间须从小到大，最大为 CPU 8191。',
    next: '请写成 `0-3,8` 的形式。',
  },
  'cpu-pins-missing': {
    reason: '{group} 绑定到 CPU {cpu}，而该划分面向 {cores} 个 CPU：0 至 {last}。',
    next: '请绑定到存在的 CPU，或修改 `cores`。',
  },
  'cpu-pins-outside-parent': {
    reason: '{group} 绑定到 {pins}，超出了 {parent} 的 CPU：{outer}。',
    next: '请在上级组的 CPU 中选择。',
  },
  'cpu-partition-without-pins': {
    reason: '{group} 要独占 CPU，却没有写明绑定哪些。',
    next: '请设置 `pins`，或去掉 `partition`。',
  },
  'cpu-partition-takes-all': {
    reason: '实验各组将独占本机的所有 CPU：{pins}。',
    next: '请至少留出一个 CPU 给其他程序，或去掉 `partition`。',
  },
  'cpu-partition-in-shared': {
    reason: '{group} 要独占 CPU，而其上级组 {parent} 没有独占的 CPU。',
    next: '请给 {parent} 也设置 `partition: root` 和 `pins`，或去掉 {group} 的 `partition`。',
  },
  'cpu-partition-beside-unpinned': {
    reason: '{group} 没有绑定 CPU；与独占 CPU 的 {other} 同级时，它只能用实验一并占用的 CPU。',
    next: '请给 {group} 设置 `pins`，或去掉 {other} 的 `partition`。',
  },
  'cpu-partition-leaves-none': {
    reason: '{group} 内的组独占了它的全部 CPU，{rest} 一个也没有。',
    next: '请在 {group} 内或与它们同级的组里留出一个共用的 CPU，或去掉其中一组的 `partition`。',
  },
  'cpu-partition-takes': {
    reason: '实验独占 CPU {pins}：启用期间，本机其他程序都不在其上运行。',
    next: '去掉 `partition` 即可共用。',
  },
  'cpu-partition-overlap': {
    reason: '{group} 要独占的 CPU 中，{pins} 也绑定给了 {other}。',
    next: '请绑定不同的 CPU，或去掉 `partition`。',
  },
  'cpu-group-unknown': {
    reason: '没有名为 {group} 的 CPU 组。',
    next: '请在 `cpu` 下添加该组，或改正路径。',
  },
  'cpu-cap-without-effect': {
    reason: '{group} 的上限 {cap} 核高于 {ancestor} 留给它的 {ceiling} 核，不起作用。',
    next: '',
  },
  'cpu-overcommitted': {
    reason: '{group} 内各组的上限合计 {allotted} 核，而它只有 {ceiling} 核：不能同时用满。',
    next: '',
  },
  'cpu-cap-at-pins': {
    reason: '{group} 的上限与其独占的 CPU 数相同，只会带来停顿；去掉上限，绑定同样能限制它。',
    next: '',
  },
  // Doors to Open vSwitch
  'ovs-missing': {
    reason: '没有安装 Open vSwitch：缺少 {object}。',
    next: '请安装：apt install openvswitch-switch。',
  },
  'ovs-unreachable': {
    reason: 'Open vSwitch 在 {object} 没有应答：{detail}。',
    next: '请启动 Open vSwitch 后重试。',
  },
  'ovs-connection-lost': {
    reason: 'Open vSwitch（{object}）在应答之前结束了。',
    next: '请查看现在的状态后重试。',
  },
  'ovs-answer-late': {
    reason: 'Open vSwitch（{object}）未在 {milliseconds} 毫秒内应答。',
    next: '请查看 Open vSwitch 的日志后重试。',
  },
  'ovs-cancelled': { reason: '操作在开始之前已取消。', next: '需要时请重新开始。' },
  'ovs-protocol': {
    reason: '无法理解 {object} 的应答：{detail}。',
    next: '请检查在那里监听的是哪个程序、什么版本。',
  },
  'ovs-database-changed': {
    reason: 'Open vSwitch 的数据库期间被别人改动过。',
    next: '请重新规划：什么都没有改变。',
  },
  'ovs-transaction-refused': {
    reason: 'Open vSwitch 的数据库拒绝了这次变更（{error}）：{detail}。',
    next: '请修改取值；什么都没有改变。',
  },
  'ovs-not-initialized': {
    reason: 'Open vSwitch 的数据库还没有初始化。',
    next: '请运行 `ovs-vsctl init` 后重试。',
  },
  'ovs-command-refused': {
    reason: 'Open vSwitch 拒绝了 {object}：{detail}。',
    next: '请修改请求后重试。',
  },
  'ovs-start-failed': {
    reason: '{object} 无法启动（退出状态 {status}）：{detail}。',
    next: '请查看它的日志，消除原因后重试。',
  },
  'ovs-directory-too-long': {
    reason: 'Open vSwitch 的目录最长 {limit} 字节，因为其中有套接字。',
    next: '请选择更短的名称。',
  },
  'ovs-switch-silent': {
    reason: 'ovs-vswitchd 未在 {milliseconds} 毫秒内接受变更。',
    next: '请检查 ovs-vswitchd 是否在运行，并查看它的日志。',
  },
  'ovs-engine-missing': {
    reason: '{object} 中没有 Open vSwitch。',
    next: '请重新应用实验以启动它。',
  },
  'ovs-stop-late': {
    reason: 'Open vSwitch 的进程 {pid} 没有结束。',
    next: '请查看是什么阻止了它，然后重试。',
  },
  'ovs-name-taken': {
    reason: 'Open vSwitch 中已有 {object}，它不属于本实验。',
    next: '请换个名称，或手动移除它。',
  },
  'ovs-name-too-long': {
    reason: '名称 {object} 超过 {limit} 字节，没有接口能用它。',
    next: '请选择更短的名称。',
  },
  'ovs-not-ours': {
    reason: '网桥 {object} 没有本实验的标记，因此不会触碰。',
    next: '如需移除，请手动操作。',
  },
  'ovs-mirror-port-missing': {
    reason: '镜像 {object} 指定的端口 {port} 不在它的网桥上。',
    next: '请指定同一网桥的端口。',
  },
  'ovs-interface-refused': {
    reason: 'Open vSwitch 无法使用接口 {object}：{detail}。',
    next: '请检查它的名称和设置，以及 ovs-vswitchd 的日志。',
  },
  'openflow-refused': {
    reason: 'Open vSwitch 拒绝了流表的操作：{detail}。',
    next: '请修改流、组和计量后重试。',
  },
  'openflow-line-refused': {
    reason: 'Open vSwitch 不接受 {line}：{detail}。',
    next: '请修改这一行，语法见 ovs-ofctl(8)。',
  },
  'openflow-port-unknown': {
    reason: '{bridge} 的 {line} 用到端口 {port}，但没有端口固定为这个号。',
    next: '请使用端口的名称，或为它设置 `openFlowPort: {port}`。',
  },
};
