/** The few words that stand on the canvas itself. */
export interface CanvasWords {
  readonly canvas: string;
  readonly foreign: string;
  readonly drawWire: string;
  readonly chooseTarget: string;
  readonly empty: string;
  readonly down: string;
  readonly more: (count: number) => string;
  readonly checksPassed: (passed: number, all: number) => string;
}

export const canvasWords: Readonly<Record<'en' | 'zh', CanvasWords>> = {
  en: {
    canvas: 'Topology drawing',
    foreign: 'not this lab’s',
    drawWire: 'Draw a wire (W)',
    chooseTarget: 'Choose the other end: click a node, or Tab and Enter. Esc cancels.',
    empty: 'Drag a namespace or a bridge here to begin.',
    down: 'down',
    more: (count) => `+${count}`,
    checksPassed: (passed, all) => `${passed} of ${all} checks pass`,
  },
  zh: {
    canvas: '拓扑图',
    foreign: '非本实验所建',
    drawWire: '连线 (W)',
    chooseTarget: '选择另一端：点击节点，或按 Tab 再按 Enter；Esc 取消。',
    empty: '把网络命名空间或网桥拖到这里开始。',
    down: '停用',
    more: (count) => `+${count}`,
    checksPassed: (passed, all) => `${all} 项检查中 ${passed} 项通过`,
  },
};
