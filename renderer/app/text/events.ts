/** Chinese sentences by the code of what has happened to an Open vSwitch, filled in with its values. */
export const chineseEvents: Readonly<Record<string, string>> = {
  'ovs-part-ended': '{part} 已退出。',
  'ovs-process-ended': '{part}（进程 {pid}）已退出。',
  'ovs-process-restarted': '{part} 已重新启动（进程 {pid}）。',
};
