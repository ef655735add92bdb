/** Chinese sentences by the code of a check's result (`checkCodes`), filled in with its `values`. */
export const chineseChecks: Readonly<Record<string, string>> = {
  reached: '{from} 收到 {to} 的应答，用时 {roundTrip} ms，符合预期。',
  'reached-unexpectedly': '{from} 收到 {to} 的应答，用时 {roundTrip} ms，但预期不可达。',
  'round-trip-within':
    '{from} 到 {to} 的往返时延为 {roundTrip} ms（{count} 次的中位数），符合要求（{bounds}）。',
  'round-trip-outside':
    '{from} 到 {to} 的往返时延为 {roundTrip} ms（{count} 次的中位数），不符合要求（{bounds}）。',
  connected: '{from} 已连上 {to} 的 TCP 端口 {port}，用时 {milliseconds} ms，符合预期。',
  'connected-unexpectedly':
    '{from} 已连上 {to} 的 TCP 端口 {port}，用时 {milliseconds} ms，但预期不可达。',
  'no-answer': '{from} 未收到 {to} 的应答，符合预期。',
  'no-answer-unexpectedly': '{from} 未收到 {to} 的应答，但预期可达。',
  'network-unreachable': '{from} 未收到 {to} 的应答（{reporter} 报告网络不可达），符合预期。',
  'network-unreachable-unexpectedly':
    '{from} 未收到 {to} 的应答（{reporter} 报告网络不可达），但预期可达。',
  'host-unreachable': '{from} 未收到 {to} 的应答（{reporter} 报告主机不可达），符合预期。',
  'host-unreachable-unexpectedly':
    '{from} 未收到 {to} 的应答（{reporter} 报告主机不可达），但预期可达。',
  prohibited: '{from} 未收到 {to} 的应答（被 {reporter} 的策略禁止），符合预期。',
  'prohibited-unexpectedly': '{from} 未收到 {to} 的应答（被 {reporter} 的策略禁止），但预期可达。',
  'port-or-protocol-unreachable':
    '{from} 未收到 {to} 的应答（{reporter} 报告端口或协议不可达），符合预期。',
  'port-or-protocol-unreachable-unexpectedly':
    '{from} 未收到 {to} 的应答（{reporter} 报告端口或协议不可达），但预期可达。',
  'hop-limit-exceeded': '{from} 未收到 {to} 的应答（{reporter} 报告 TTL/跳数超限），符合预期。',
  'hop-limit-exceeded-unexpectedly':
    '{from} 未收到 {to} 的应答（{reporter} 报告 TTL/跳数超限），但预期可达。',
  'packet-too-big': '{from} 未收到 {to} 的应答（{reporter} 报告报文过大），符合预期。',
  'packet-too-big-unexpectedly':
    '{from} 未收到 {to} 的应答（{reporter} 报告报文过大），但预期可达。',
  'send-failed': '{from} 无法向 {to} 发送报文（{errno}），符合预期。',
  'send-failed-unexpectedly': '{from} 无法向 {to} 发送报文（{errno}），但预期可达。',
  refused: '{to} 的 TCP 端口 {port} 拒绝了 {from} 的连接，符合预期。',
  'refused-unexpectedly': '{to} 的 TCP 端口 {port} 拒绝了 {from} 的连接，但预期可达。',
  'connect-timeout': '{from} 连接 {to} 的 TCP 端口 {port} 超时，符合预期。',
  'connect-timeout-unexpectedly': '{from} 连接 {to} 的 TCP 端口 {port} 超时，但预期可达。',
  'connect-unreachable': '{from} 无法到达 {to} 的 TCP 端口 {port}（{errno}），符合预期。',
  'connect-unreachable-unexpectedly':
    '{from} 无法到达 {to} 的 TCP 端口 {port}（{errno}），但预期可达。',
  'rate-measured': '{from} 到 {to} 的实测速率为 {rate}。',
  'rate-within': '{from} 到 {to} 的实测速率为 {rate}，符合要求（{bounds}）。',
  'rate-outside': '{from} 到 {to} 的实测速率为 {rate}，不符合要求（{bounds}）。',
  'rate-not-offered':
    '{from} 到 {to} 的实测速率为 {rate}，但本机只发出了 {sent}，不足以判断是否符合要求（{bounds}）。',
  'rate-nothing-arrived': '{from} 发出的报文没有一个到达 {to}。',
  'rate-unreachable': '{from} 无法向 {to} 发送报文（{errno}）。',
  'records-found':
    '{at} 收到 {count} 条 {protocol} 记录{match}，最近一条来自 {exporter}，符合预期。',
  'records-found-unexpectedly':
    '{at} 收到 {count} 条 {protocol} 记录{match}，最近一条来自 {exporter}，但预期没有。',
  'no-records': '{at} 未收到 {protocol} 记录{match}，符合预期。',
  'no-records-unexpectedly': '{at} 在 {seconds} 秒内未收到 {protocol} 记录{match}。',
  'cpu-within': '{group} 在 {seconds} 秒内用了 {used} 核，介于 {least} 与 {most} 之间。',
  'cpu-within-beside':
    '{others} 同时忙碌时，{group} 在 {seconds} 秒内用了 {used} 核，介于 {least} 与 {most} 之间。',
  'cpu-outside': '{group} 在 {seconds} 秒内用了 {used} 核，不在 {least} 与 {most} 之间。',
  'cpu-outside-beside':
    '{others} 同时忙碌时，{group} 在 {seconds} 秒内用了 {used} 核，不在 {least} 与 {most} 之间。',
  'cpu-not-to-be-had':
    '{group} 在 {seconds} 秒内用了 {used} 核，但本机其他进程占用了 {foreign} 核，无法判断它是否介于 {least} 与 {most} 之间。',
  'check-not-done': '未能执行检查：{reason}',
};
