// Sign-ins under way, as this window knows them: from events as they come, from the status after the window was reopened.
import { call, type Host } from "../ipc/call";
import { en } from "../text/en";
import type { AccountId, ServerId, SignInId, SignInStep, SignInView, SignInWay } from "../ipc/generated/wire";

/** How somebody signs in from this window without giving anything here. */
export type Way = Exclude<SignInWay["by"], "id_token" | "pasted">;

/** One sign-in, from its begin to its end and a little longer: the sheet still shows how it ended. */
export interface SignIn {
  id: SignInId;
  server: ServerId;
  /** Whom it signs in again. */
  account: AccountId | null;
  /** When it gives up waiting, in seconds. */
  endsAt: number;
  steps: SignInStep[];
  /** Nobody attends it: it goes on once this window does. */
  parked: boolean;
}

export class SignIns {
  /** Those that this window began or found. */
  all = $state.raw<ReadonlyMap<SignInId, SignIn>>(new Map());
  readonly #host: Host;
  /** Steps that came before the answer that names their sign-in. */
  readonly #early = new Map<SignInId, SignInStep[]>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** Begins one. Rejects with an `AgentError`. A token in `way` goes to the agent and is kept nowhere here. */
  async begin(server: ServerId, account: AccountId | null, select: boolean, way: SignInWay = { by: "browser" }): Promise<SignIn> {
    const { sign_in } = await call(this.#host, "begin_sign_in", {
      server, account, select, expect: null, label: null, approval: "ask", same_person: false, login_hint: null, way, anew: true, timeout: WAITS,
    });
    const steps = this.all.get(sign_in)?.steps ?? this.#early.get(sign_in) ?? [];
    this.#early.delete(sign_in);
    const begun: SignIn = { id: sign_in, server, account, endsAt: Date.now() / 1000 + WAITS, steps, parked: false };
    this.#put(begun);
    return begun;
  }

  step(id: SignInId, step: SignInStep): void {
    const known = this.all.get(id);
    if (known === undefined) {
      this.#early.set(id, [...(this.#early.get(id) ?? []), step]);
    } else if (ended(known) === null) {
      this.#put({ ...known, steps: [...known.steps, step] });
    }
  }

  /** What the agent's status says is under way. Returns those that were not known here. */
  take(views: SignInView[]): SignIn[] {
    const found: SignIn[] = [];
    for (const view of views) {
      const known = this.all.get(view.sign_in);
      const taken: SignIn = { id: view.sign_in, server: view.server, account: view.account, endsAt: view.ends_at, steps: view.steps, parked: view.parked };
      if (known === undefined) {
        this.#early.delete(view.sign_in);
        found.push(taken);
        this.#put(taken);
      } else if (known.steps.length < view.steps.length || known.endsAt !== view.ends_at || known.parked !== view.parked) {
        this.#put({ ...taken, steps: known.steps.length < view.steps.length ? view.steps : known.steps });
      }
    }
    return found;
  }

  /** Those under way, before the agent is asked for what it knows. */
  get underWay(): ReadonlySet<SignInId> {
    return new Set(this.running.map((one) => one.id));
  }

  /** Their agent is gone, and with it they are: nobody waits for the browser any more. */
  lose(ids: Iterable<SignInId>): void {
    for (const id of ids) {
      this.step(id, { step: "failed", error: { code: "agent_unavailable", message: en.sheet.agentGone, hint: en.sheet.agentGoneHint } });
    }
  }

  async confirm(id: SignInId, yes: boolean): Promise<void> {
    await call(this.#host, "confirm_sign_in", { sign_in: id, yes });
  }

  async paste(id: SignInId, url: string): Promise<void> {
    await call(this.#host, "paste_callback", { sign_in: id, url });
  }

  /** Attends one whose program or window is gone: from here on its steps come here. */
  async resume(id: SignInId): Promise<void> {
    const known = this.all.get(id);
    if (known?.parked !== true) return;
    // What it says anew stands here already.
    this.#put({ ...known, parked: false, steps: [] });
    await call(this.#host, "resume_sign_in", { sign_in: id });
  }

  async cancel(id: SignInId): Promise<void> {
    await call(this.#host, "cancel_sign_in", { sign_in: id });
  }

  /** Those that still run. */
  get running(): SignIn[] {
    return [...this.all.values()].filter((one) => ended(one) === null);
  }

  forget(id: SignInId): void {
    this.all = new Map([...this.all].filter(([key]) => key !== id));
  }

  #put(one: SignIn): void {
    this.all = new Map(this.all).set(one.id, one);
  }
}

/** The last step, if it was the end. */
export function ended(one: SignIn): Extract<SignInStep, { step: "done" | "failed" }> | null {
  const last = one.steps.at(-1);
  return last?.step === "done" || last?.step === "failed" ? last : null;
}

/** Seconds that a person has for the browser. */
const WAITS = 600;
