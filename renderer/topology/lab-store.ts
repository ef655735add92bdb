import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import type {
  ApplyOutcome,
  CheckResult,
  Failure,
  LabDocument,
  LabStatus,
  Plan,
  RealmName,
  TransactionProgress,
} from '../../agent/api/index.ts';
import type {
  LabOverview,
  LabState,
  LabTarget,
  OpenDocument,
  Validation,
} from '../../main/bridge/contract.ts';
import { useDialogs } from '../app/dialog-store.ts';
import { useNotices } from '../app/notice-store.ts';
import { useSettings } from '../app/settings-store.ts';
import { useText } from '../app/text/text.ts';
import { useBridge } from '../bridge/bridge.ts';
import { useRealms } from '../inventory/realm-store.ts';
import type { Selection } from './canvas/selection.ts';
import { type DocumentEdit, editDocument } from './document/document-edit.ts';

/** Where a plan of the person leads; `document` is the text in the window. */
export type PlanWish =
  | { readonly kind: 'document' }
  | { readonly kind: 'undo' }
  | { readonly kind: 'redo' }
  | { readonly kind: 'down' }
  | { readonly kind: 'revision'; readonly revision: number };

export interface ShownPlan {
  readonly plan: Plan;
  readonly wish: PlanWish;
  /** The window's text when it was made. */
  readonly text: string;
  /** How it went, once it was applied. */
  readonly outcome: ApplyOutcome | null;
  /** Why it did not. */
  readonly failure: Failure | null;
  /** The step that failed, where the failure is one step's. */
  readonly failedStep: number | null;
}

export type Activity = 'planning' | 'applying' | 'settling' | null;

/** A change that waits to be confirmed. */
export interface AwaitedChange {
  readonly token: string;
  readonly lab: string;
  /** The whole time, in seconds. */
  readonly within: number;
  /** When it goes back, on the clock of `performance.now`, in milliseconds. */
  readonly until: number;
}

/** A lab of that name was brought up from another file; replacing it is the person's choice. */
const takeOverLabel = () => useText().t('lab.replace');

const saveDelay = 600;
const overviewDelay = 200;
const mostUndo = 500;

/**
 * The lab that is open in the window: its text, what the text means, and what became of it. The text is the one
 * truth of the window; everything else is asked for again when it changes.
 */
export const useLab = defineStore('lab', () => {
  const bridge = useBridge();
  const notices = useNotices();
  const settings = useSettings();
  const realms = useRealms();
  const dialogs = useDialogs();

  const path = ref<string | null>(null);
  const name = ref('');
  const text = ref('');
  /** The last text that parsed; the drawing keeps showing it while the YAML is broken. */
  const document = shallowRef<LabDocument | null>(null);
  const validation = shallowRef<Validation | null>(null);
  const overview = shallowRef<LabOverview | null>(null);
  const shownPlan = shallowRef<ShownPlan | null>(null);
  const transaction = shallowRef<TransactionProgress | null>(null);
  const checkResults = shallowRef<readonly CheckResult[]>([]);
  const selection = shallowRef<Selection | null>(null);
  const activity = ref<Activity>(null);
  /** Where the person wants the lab to be brought up; null leaves it where it was, or to a sandbox of its own. */
  const realmWish = ref<RealmName | null>(null);
  /** Checks run beside everything else: an apply does not wait for them. */
  const checking = ref(false);
  /** The file was changed by somebody else while this window had changes of its own. */
  const conflict = ref(false);

  const past = shallowRef<readonly string[]>([]);
  const future = shallowRef<readonly string[]>([]);
  let version = '';
  let savedText = '';
  let finishedPlan: string | null = null;
  let cancelApply: AbortController | null = null;

  /** The change in force that goes back by itself unless it is confirmed; `until` by the clock of `performance.now`. */
  const awaiting = shallowRef<AwaitedChange | null>(null);
  /** Seconds that the next plan with a deadline gives; null is the plan's own. */
  const confirmWithin = ref<number | null>(null);

  const open = computed(() => path.value !== null);
  const state = computed<LabState>(() => overview.value?.state ?? 'unknown');
  const revision = computed(() => overview.value?.status?.record.revision ?? null);
  const up = computed(() => ['up', 'changed', 'drifted'].includes(state.value));
  /** Where the lab is, or where it comes when it is applied. */
  const realm = computed(
    () => (up.value ? null : realmWish.value) ?? overview.value?.realm ?? null,
  );
  const drift = computed(() => overview.value?.status?.drift ?? null);
  /** Whether the plan that is shown may still be applied. */
  const planCurrent = computed(() => {
    const shown = shownPlan.value;
    if (shown === null || shown.outcome !== null || shown.failure !== null) return false;
    return shown.wish.kind === 'down' || shown.text === text.value;
  });
  const canApply = computed(() => {
    const shown = shownPlan.value;
    if (activity.value !== null || !planCurrent.value || shown === null) return false;
    if (awaiting.value !== null) return false;
    return shown.plan.refusals.length === 0 && shown.plan.id !== null;
  });
  const canUndo = computed(
    () =>
      activity.value !== 'applying' &&
      (past.value.length > 0 || state.value === 'changed' || overview.value?.canUndo === true),
  );
  const canRedo = computed(
    () =>
      activity.value !== 'applying' &&
      (future.value.length > 0 || (state.value !== 'changed' && overview.value?.canRedo === true)),
  );

  // What the kernel has is looked at in the realm that the lab is in.
  watch(realm, (now) => realms.watch(now));

  // What is not in force any more is not shown as if it were.
  watch(state, (now) => {
    if (now === 'gone' && (shownPlan.value?.outcome ?? null) !== null) shownPlan.value = null;
  });

  let validationCount = 0;
  const validate = async () => {
    const count = ++validationCount;
    const result = await bridge.call('document.validate', { text: text.value, path: path.value });
    if (count !== validationCount) return;
    notices.judge('validate', result);
    if (!result.ok) return;
    validation.value = result.value;
    if (result.value.document !== null) document.value = result.value.document;
  };

  const refreshOverview = async () => {
    if (path.value === null) return;
    const asked = name.value;
    const result = await bridge.call('lab.overview', {
      lab: asked,
      path: path.value,
      text: text.value,
    });
    if (asked !== name.value) return;
    notices.judge('overview', result);
    if (result.ok) receiveOverview(result.value);
  };
  const receiveOverview = (next: LabOverview) => {
    overview.value = next;
    const status = next.status;
    receiveAwaiting(status);
    // What was seen in a network that is no longer there says nothing.
    if (!checking.value) checkResults.value = up.value ? (status?.checks ?? []) : [];
    if (status?.busy !== true && activity.value !== 'applying') transaction.value = null;
  };

  /** Token of the change that this window has just confirmed or taken back. */
  let settledToken: string | null = null;
  const receiveAwaiting = (status: LabStatus | null) => {
    const before = awaiting.value;
    const now = status?.awaiting ?? null;
    awaiting.value =
      now === null
        ? null
        : { ...now, until: performance.now() + now.endsInMilliseconds, lab: name.value };
    const ended = before !== null && before.lab === name.value && before.token !== now?.token;
    if (!ended || status === null || before.token === settledToken) return;
    const applied = shownPlan.value?.outcome ?? null;
    const { up: isUp, revision: inForce } = status.record;
    // Somebody else may have confirmed it.
    if (applied !== null && applied.up === isUp && applied.revision === inForce) return;
    if (applied !== null) shownPlan.value = null;
    notices.report(useText().t('deadline.passed'));
  };

  /** Keeps the change that waits, or takes it back now. */
  const settle = async (call: 'lab.confirm' | 'lab.revert') => {
    const change = awaiting.value;
    if (change === null || activity.value !== null) return;
    activity.value = 'settling';
    const result = await bridge.call(call, { lab: name.value, token: change.token });
    activity.value = null;
    notices.judge('settle', result);
    if (result.ok) {
      settledToken = change.token;
      awaiting.value = null;
      if (call === 'lab.revert') shownPlan.value = null;
      notices.tell(useText().t(call === 'lab.confirm' ? 'deadline.kept' : 'deadline.takenBack'));
    }
    await refreshOverview();
  };

  let overviewTimer: ReturnType<typeof setTimeout> | undefined;
  const refreshSoon = () => {
    clearTimeout(overviewTimer);
    overviewTimer = setTimeout(() => void refreshOverview(), overviewDelay);
  };

  let saveTimer: ReturnType<typeof setTimeout> | undefined;
  let saving: Promise<void> = Promise.resolve();
  /** Texts whose save was not answered in time: each may have reached the file all the same. */
  const unanswered = new Set<string>();
  /** Takes over the version of a file that holds what this window wrote; false when somebody else wrote it. */
  const adoptOwn = async (target: string): Promise<boolean> => {
    if (unanswered.size === 0) return false;
    const found = await bridge.call('document.open', { path: target });
    if (!found.ok || path.value !== target || !unanswered.has(found.value.text)) return false;
    version = found.value.version;
    savedText = found.value.text;
    unanswered.clear();
    return true;
  };
  const saveNow = async (): Promise<void> => {
    clearTimeout(saveTimer);
    saveTimer = undefined;
    const target = path.value;
    if (target === null || conflict.value || text.value === savedText) return;
    const saved = text.value;
    const result = await bridge.call('document.save', { path: target, text: saved, version });
    if (path.value !== target) return;
    if (result.ok) {
      notices.settled('save');
      version = result.value.version;
      savedText = saved;
      unanswered.clear();
      return;
    }
    if (result.failure.kind === 'timeout') unanswered.add(saved);
    else if (await adoptOwn(target)) return saveNow();
    if (result.failure.kind === 'storage' || result.failure.kind === 'timeout') {
      notices.judge('save', result);
    } else {
      // Refused: the file is no longer the version that this window knows.
      conflict.value = true;
    }
  };
  /** Saves one after the other, so that each names the version before it. */
  const save = (): Promise<void> => {
    saving = saving.then(saveNow);
    return saving;
  };
  const saveSoon = () => {
    clearTimeout(saveTimer);
    saveTimer = setTimeout(() => void save(), saveDelay);
  };

  /** Puts a text into the window without touching the steps of undo. */
  const put = (next: string) => {
    // What was wrong with another text is not wrong with this one.
    notices.settled('plan', 'apply', 'edit');
    text.value = next;
    saveSoon();
    refreshSoon();
    return validate();
  };
  const change = (next: string) => {
    if (next === text.value) return;
    past.value = [...past.value, text.value].slice(-mostUndo);
    future.value = [];
    void put(next);
  };

  const load = async (opened: OpenDocument, keepPlan: boolean) => {
    text.value = opened.text;
    savedText = opened.text;
    version = opened.version;
    unanswered.clear();
    conflict.value = false;
    past.value = [];
    future.value = [];
    if (!keepPlan) shownPlan.value = null;
    await validate();
    name.value = document.value?.name ?? nameOfPath(opened.path);
    await refreshOverview();
  };

  const targetOf = (wish: PlanWish, replace: boolean): LabTarget | null => {
    if (wish.kind !== 'document') return wish;
    if (path.value === null) return null;
    return { kind: 'document', path: path.value, text: text.value, replace };
  };

  /** Fields that are still asking whether what was typed will do. */
  const unsettled = new Set<Promise<unknown>>();
  const settled = async () => {
    await Promise.allSettled([...unsettled]);
  };

  /** Asks the person whether the lab's realm may have a way out; true when it may, from now on. */
  const allowInternet = async (realm: string): Promise<boolean> => {
    const asked = name.value;
    const { t } = useText();
    const choice = await dialogs.confirm({
      title: t('internet.title'),
      sentence: t('internet.sentence', { realm }),
      confirm: t('internet.allow'),
      tone: 'plain',
    });
    if (choice !== 'confirm' || asked !== name.value) return false;
    activity.value = 'planning';
    const allowed = await bridge.call('realm.allowInternet', { realm });
    activity.value = null;
    notices.judge('plan', allowed);
    return allowed.ok;
  };

  /** Makes the plan and shows it; null when it cannot be made. */
  const makePlan = async (wish: PlanWish, replace = false): Promise<Plan | null> => {
    await settled();
    const target = targetOf(wish, replace);
    if (target === null || activity.value !== null) return null;
    activity.value = 'planning';
    const planned = text.value;
    const chosen = up.value || wish.kind === 'down' ? null : realmWish.value;
    const result = await bridge.call('lab.plan', {
      lab: name.value,
      target,
      ...(chosen === null ? {} : { realm: chosen }),
    });
    activity.value = null;
    if (!result.ok) {
      const takeOver =
        result.failure.kind === 'name-taken' && !replace
          ? [{ label: takeOverLabel(), run: () => void makePlan(wish, true) }]
          : [];
      notices.judge('plan', result, takeOver);
      return null;
    }
    notices.settled('plan', 'apply', 'interface');
    const asks = result.value.refusals.length > 0 && result.value.refusals.every(isAboutInternet);
    if (asks && (await allowInternet(result.value.realm))) return makePlan(wish, replace);
    shownPlan.value = {
      plan: result.value,
      wish,
      text: planned,
      outcome: null,
      failure: null,
      failedStep: null,
    };
    return result.value;
  };

  const check = async () => {
    if (checking.value || (document.value?.checks ?? []).length === 0) return;
    checking.value = true;
    const checked = name.value;
    checkResults.value = [];
    const result = await bridge.call(
      'lab.check',
      { lab: checked },
      {
        onProgress: (outcome) => {
          if (name.value !== checked) return;
          checkResults.value = [
            ...checkResults.value.filter((each) => each.index !== outcome.index),
            outcome,
          ];
        },
      },
    );
    checking.value = false;
    if (name.value !== checked) return;
    notices.judge('check', result);
    if (result.ok) checkResults.value = result.value.results;
  };

  /** Applies the plan that is shown. True when it is done. */
  const apply = async (): Promise<boolean> => {
    const shown = shownPlan.value;
    if (shown === null || shown.plan.id === null || !canApply.value) return false;
    activity.value = 'applying';
    await save();
    const controller = new AbortController();
    cancelApply = controller;
    const result = await bridge.call(
      'lab.apply',
      {
        lab: name.value,
        plan: shown.plan.id,
        ...(shown.plan.confirm !== null && confirmWithin.value !== null
          ? { confirmWithin: confirmWithin.value }
          : {}),
      },
      { onProgress: (progress) => (transaction.value = progress), signal: controller.signal },
    );
    cancelApply = null;
    finishedPlan = shown.plan.id;
    const failedStep = transaction.value?.failedStep ?? null;
    transaction.value = null;
    activity.value = null;
    if (!result.ok) {
      if (result.failure.kind === 'stale-plan') {
        // The network or the file moved on meanwhile: show what would happen now instead.
        await makePlan(shown.wish);
        notices.judge('apply', result);
        return false;
      }
      shownPlan.value = { ...shown, failure: result.failure, failedStep };
      notices.judge('apply', result);
      await refreshOverview();
      return false;
    }
    notices.settled('plan', 'apply');
    shownPlan.value = { ...shown, outcome: result.value };
    // It is there now; what comes after a take-down is a choice of its own.
    realmWish.value = null;
    past.value = [];
    future.value = [];
    const leadsTo = shown.plan.document;
    if (leadsTo !== null && shown.wish.kind !== 'document' && leadsTo !== text.value) {
      await put(leadsTo);
      shownPlan.value = { ...shown, text: leadsTo, outcome: result.value };
      await save();
    }
    await refreshOverview();
    if (result.value.up) void check();
    else checkResults.value = [];
    return true;
  };

  bridge.subscribe('lab', (next) => {
    if (next.name !== name.value || !open.value) return;
    receiveOverview(next);
    // Main compares with the file; this window may be ahead of it.
    if (text.value !== savedText) refreshSoon();
  });
  bridge.subscribe('transaction', (progress) => {
    if (progress.lab !== name.value || progress.plan === finishedPlan) return;
    transaction.value = progress;
  });
  bridge.subscribe('document', (changed) => {
    if (changed.path !== path.value || changed.version === version) return;
    void saving.then(async () => {
      if (changed.version === version) return;
      const target = path.value;
      if (target !== null && (await adoptOwn(target))) return save();
      if (text.value === savedText) await reload();
      else conflict.value = true;
    });
  });
  const reload = async () => {
    if (path.value === null) return;
    const result = await bridge.call('document.open', { path: path.value });
    notices.judge('reload', result);
    if (result.ok) await load(result.value, true);
  };
  window.addEventListener('pagehide', () => void save());

  /** What was said of the lab that was open says nothing of another. */
  const leave = () => {
    clearTimeout(overviewTimer);
    notices.settled(
      ...['plan', 'apply', 'check', 'edit', 'settle', 'overview', 'validate', 'reload'],
      ...['interface', 'console'],
    );
  };

  return {
    path,
    name,
    text,
    document,
    validation,
    overview,
    shownPlan,
    transaction,
    checkResults,
    selection,
    activity,
    realm,
    realmWish,
    checking,
    conflict,
    past,
    future,
    awaiting,
    confirmWithin,
    open,
    state,
    revision,
    up,
    drift,
    planCurrent,
    canApply,
    canUndo,
    canRedo,
    refreshOverview,
    save,
    change,
    makePlan,
    apply,
    check,
    reload,
    keepChange: () => settle('lab.confirm'),
    takeChangeBack: () => settle('lab.revert'),
    cancel: () => cancelApply?.abort(),
    /** Says where the lab is to be brought up; a plan for another realm is not shown on. */
    chooseRealm(chosen: RealmName) {
      if (up.value || realm.value === chosen) return;
      realmWish.value = chosen;
      if (shownPlan.value?.outcome === null) shownPlan.value = null;
    },
    /** Opens a document in place of the one that is open. */
    async openDocument(opened: OpenDocument) {
      await save();
      leave();
      path.value = opened.path;
      document.value = null;
      validation.value = null;
      overview.value = null;
      realmWish.value = null;
      transaction.value = null;
      awaiting.value = null;
      checkResults.value = [];
      selection.value = null;
      name.value = nameOfPath(opened.path);
      settings.update({ lastDocument: opened.path });
      await load(opened, false);
    },
    async close() {
      await save();
      leave();
      path.value = null;
      name.value = '';
      overview.value = null;
      document.value = null;
      shownPlan.value = null;
      settings.update({ lastDocument: null });
    },
    edit(edits: readonly DocumentEdit[]): boolean {
      const edited = editDocument(text.value, edits);
      notices.judge('edit', edited);
      if (edited.ok) change(edited.value);
      return edited.ok;
    },
    /**
     * The first reason of the validator against these edits that the text does not have already, or null. Nothing is
     * changed.
     */
    async objection(edits: readonly DocumentEdit[]): Promise<Failure | null> {
      const edited = editDocument(text.value, edits);
      if (!edited.ok) return edited.failure;
      const result = await bridge.call('document.validate', {
        text: edited.value,
        path: path.value,
      });
      if (!result.ok) return result.failure;
      const known = new Set((validation.value?.problems ?? []).map(identityOf));
      return result.value.problems.find((problem) => !known.has(identityOf(problem))) ?? null;
    },
    /** One edit back; at the revision in force, the plan of undo. */
    async undo() {
      const last = past.value.at(-1);
      if (last !== undefined) {
        past.value = past.value.slice(0, -1);
        future.value = [...future.value, text.value];
        await put(last);
        return;
      }
      if (state.value === 'changed' && revision.value !== null && revision.value > 0) {
        // Changes of an earlier day, whose steps nobody kept: all of them at once.
        const kept = await bridge.call('lab.revision', {
          lab: name.value,
          revision: revision.value,
        });
        notices.judge('edit', kept);
        if (!kept.ok) return;
        if (kept.value.text !== text.value) {
          future.value = [...future.value, text.value];
          await put(kept.value.text);
          return;
        }
      }
      if (overview.value?.canUndo === true) await makePlan({ kind: 'undo' });
    },
    async redo() {
      const next = future.value.at(-1);
      if (next !== undefined) {
        future.value = future.value.slice(0, -1);
        past.value = [...past.value, text.value];
        await put(next);
        return;
      }
      if (overview.value?.canRedo === true) await makePlan({ kind: 'redo' });
    },
    /** Plans and applies in one go, for a person who asked for exactly that. */
    async bringUp(wish: PlanWish = { kind: 'document' }): Promise<boolean> {
      const plan = await makePlan(wish);
      return plan !== null && canApply.value ? apply() : false;
    },
    async keepMine() {
      if (path.value === null) return;
      const theirs = await bridge.call('document.open', { path: path.value });
      notices.judge('save', theirs);
      if (!theirs.ok) return;
      version = theirs.value.version;
      savedText = theirs.value.text;
      conflict.value = false;
      await save();
    },
    settled,
    /** Keeps a plan waiting until the work of a field is done. */
    track(work: Promise<unknown>) {
      unsettled.add(work);
      void work.finally(() => unsettled.delete(work));
    },
    closePlan() {
      shownPlan.value = null;
    },
  };
});

function isAboutInternet({ code }: Failure): boolean {
  return code === 'internet-not-allowed';
}

function identityOf(failure: Failure): string {
  return `${failure.code} ${failure.object} ${failure.reason}`;
}

/** A lab's file bears its name. */
export function nameOfPath(path: string): string {
  return (path.split('/').at(-1) ?? path).replace(/(?:\.netloom)?\.ya?ml$/, '');
}
