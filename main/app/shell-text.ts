/** What the shell itself says, outside the page. */
import type { Settings } from '../bridge/contract.ts';

export interface ShellText {
  readonly keepLabs: string;
  readonly labsAreUp: (labs: readonly string[]) => string;
  readonly answers: Readonly<Record<'keep' | 'down' | 'cancel', string>>;
  readonly takeDownFailed: (lab: string) => string;
  readonly understood: string;
  readonly startFailed: string;
  readonly windowGone: string;
  readonly windowGoneDetail: (reason: string) => string;
  readonly menu: Readonly<
    Record<
      | 'file'
      | 'quit'
      | 'edit'
      | 'cut'
      | 'copy'
      | 'paste'
      | 'selectAll'
      | 'view'
      | 'resetZoom'
      | 'zoomIn'
      | 'zoomOut'
      | 'fullScreen'
      | 'developerTools',
      string
    >
  >;
}

const english: ShellText = {
  keepLabs: 'Keep labs running?',
  labsAreUp: (labs) =>
    `${labs.length === 1 ? '1 lab is up' : `${String(labs.length)} labs are up`}: ${labs.join(', ')}.`,
  answers: { keep: 'Keep running', down: 'Take down', cancel: 'Cancel' },
  takeDownFailed: (lab) => `${lab} was not taken down`,
  understood: 'OK',
  startFailed: 'Netloom cannot start',
  windowGone: 'Netloom’s window has ended',
  windowGoneDetail: (reason) =>
    `The process that draws it is gone (${reason}). Labs keep running, and files are as they were last saved. Start Netloom again.`,
  menu: {
    file: 'File',
    quit: 'Quit',
    edit: 'Edit',
    cut: 'Cut',
    copy: 'Copy',
    paste: 'Paste',
    selectAll: 'Select All',
    view: 'View',
    resetZoom: 'Actual Size',
    zoomIn: 'Zoom In',
    zoomOut: 'Zoom Out',
    fullScreen: 'Full Screen',
    developerTools: 'Developer Tools',
  },
};

const chinese: ShellText = {
  keepLabs: '让实验继续运行？',
  labsAreUp: (labs) => `有 ${String(labs.length)} 个实验正在运行：${labs.join('、')}。`,
  answers: { keep: '保持运行', down: '停止实验', cancel: '取消' },
  takeDownFailed: (lab) => `${lab} 未能停止`,
  understood: '确定',
  startFailed: 'Netloom 无法启动',
  windowGone: 'Netloom 的窗口已终止',
  windowGoneDetail: (reason) =>
    `负责绘制窗口的进程已退出（${reason}）。实验仍在运行，文件保持上次保存时的状态。请重新启动 Netloom。`,
  menu: {
    file: '文件',
    quit: '退出',
    edit: '编辑',
    cut: '剪切',
    copy: '复制',
    paste: '粘贴',
    selectAll: '全选',
    view: '视图',
    resetZoom: '实际大小',
    zoomIn: '放大',
    zoomOut: '缩小',
    fullScreen: '全屏',
    developerTools: '开发者工具',
  },
};

/** The language by the setting, else by the system's locale; as the page decides it. */
export function languageOf(setting: Settings['language'], locale: string): 'en' | 'zh' {
  if (setting !== 'system') return setting;
  return locale.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

export function shellText(language: 'en' | 'zh'): ShellText {
  return language === 'zh' ? chinese : english;
}
