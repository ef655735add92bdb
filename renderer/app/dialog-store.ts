import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';

export interface Confirmation {
  readonly title: string;
  readonly sentence: string;
  readonly confirm: string;
  /** A second way to go on, such as “take them down” beside “keep them running”. */
  readonly alternative?: string;
  readonly tone: 'plain' | 'bad';
}

export interface Question {
  readonly title: string;
  readonly label: string;
  readonly hint: string;
  readonly initial: string;
  readonly confirm: string;
  /** A sentence when the answer will not do, null when it will. */
  readonly validate: (answer: string) => string | null;
}

export type Choice = 'confirm' | 'alternative' | 'cancel';
export type OpenDialog = 'settings' | 'shortcuts' | 'commands' | null;

/** Dialogs of the whole window. One question at a time; a second one waits for nobody and is refused. */
export const useDialogs = defineStore('dialogs', () => {
  const open = ref<OpenDialog>(null);
  /** The program has quit by the person's word; what is left is this page. */
  const ended = ref(false);
  const confirmation = shallowRef<Confirmation | null>(null);
  const question = shallowRef<Question | null>(null);
  let choose: ((choice: Choice) => void) | null = null;
  let answerTo: ((answer: string | null) => void) | null = null;

  return {
    open,
    ended,
    confirmation,
    question,
    confirm(next: Confirmation): Promise<Choice> {
      if (choose !== null) return Promise.resolve('cancel');
      confirmation.value = next;
      return new Promise((resolve) => (choose = resolve));
    },
    settle(choice: Choice) {
      confirmation.value = null;
      choose?.(choice);
      choose = null;
    },
    ask(next: Question): Promise<string | null> {
      if (answerTo !== null) return Promise.resolve(null);
      question.value = next;
      return new Promise((resolve) => (answerTo = resolve));
    },
    answer(text: string | null) {
      question.value = null;
      answerTo?.(text);
      answerTo = null;
    },
  };
});
