// Short messages at the edge of the window, each with at most one action.
import type { AgentError } from "../ipc/call";

export interface Toast {
  id: number;
  text: string;
  error?: AgentError;
  action?: { label: string; run(): void };
  /** Ctrl+Z runs the action too. */
  undo: boolean;
}

export class Toasts {
  list = $state.raw<Toast[]>([]);
  #next = 1;
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>();

  /** Says something. It goes by itself, slowly enough to read and act, unless it is an error. */
  say(text: string, over: Partial<Omit<Toast, "id" | "text">> = {}): void {
    const toast: Toast = { id: this.#next++, text, undo: false, ...over };
    for (const old of this.list.slice(0, -(MOST - 1))) {
      this.dismiss(old.id);
    }
    this.list = [...this.list, toast];
    if (toast.error === undefined) {
      this.resume(toast.id);
    }
  }

  /** Says what went wrong; it stays until it is dismissed. */
  fail(error: AgentError): void {
    this.say("", { error });
  }

  dismiss(id: number): void {
    this.hold(id);
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  /** While the pointer or the focus is on it, a message stays. */
  hold(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  resume(id: number): void {
    if (this.list.some((toast) => toast.id === id && toast.error === undefined)) {
      this.hold(id);
      this.#timers.set(id, setTimeout(() => this.dismiss(id), STAYS));
    }
  }

  act(toast: Toast): void {
    this.dismiss(toast.id);
    toast.action?.run();
  }

  /** Undoes the newest switch. False if there is none. */
  undo(): boolean {
    const newest = this.list.findLast((toast) => toast.undo);
    if (newest !== undefined) {
      this.act(newest);
    }
    return newest !== undefined;
  }
}

const MOST = 4;
/** Milliseconds. */
const STAYS = 12_000;
