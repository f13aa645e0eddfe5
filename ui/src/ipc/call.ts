// What the window may ask, and what it gets: a wrong pair of request and response does not compile.
import type { Error as AgentError, Request, Response } from "./generated/wire";

export type { AgentError };

/** Everything that can be asked. */
export type Verb = Request["verb"];

/** The kind of answer that each verb gets. */
type Kinds = typeof KINDS;

/** What goes with a verb. */
export type Fields<V extends Verb> = Omit<Extract<Request, { verb: V }>, "verb">;

/** What comes back. */
export type Answer<V extends Verb> = Extract<Response, { kind: Kinds[V] }>;

/** What carries requests out of the web view: Tauri, or the fake. */
export interface Host {
  call(request: Request): Promise<unknown>;
  shell(request: unknown): Promise<unknown>;
  /** What the agent says by itself. */
  listen(handler: (event: unknown) => void): Promise<() => void>;
  /** What the desktop shell says by itself. */
  listenShell(handler: (event: unknown) => void): Promise<() => void>;
}

/** The fields of a verb as an argument, where it has any. */
export type Rest<V extends Verb> = keyof Fields<V> extends never ? [] : [fields: Fields<V>];

/** Asks the agent. Rejects with an `AgentError`. */
export async function call<V extends Verb>(host: Host, verb: V, ...rest: Rest<V>): Promise<Answer<V>> {
  let answer: unknown;
  try {
    answer = await host.call({ verb, ...rest[0] } as unknown as Request);
  } catch (reason) {
    throw asError(reason);
  }
  if (!isRecord(answer) || answer["kind"] !== KINDS[verb]) {
    throw { code: "failed", message: `the agent answered ${verb} with something else` } satisfies AgentError;
  }
  return answer as unknown as Answer<V>;
}

/** Makes an `AgentError` of whatever was thrown, without showing an object's insides. */
export function asError(reason: unknown): AgentError {
  if (isRecord(reason) && typeof reason["code"] === "string" && typeof reason["message"] === "string") {
    const hint = reason["hint"];
    const code = reason["code"] as AgentError["code"];
    return { code, message: reason["message"], ...(typeof hint === "string" && hint !== "" ? { hint } : {}) };
  }
  return { code: "failed", message: reason instanceof Error ? reason.message : String(reason) };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

// The generated types hold both ends; the pairs are those of `ipc::control`. One that is missing does not compile.
const KINDS = {
  record_environment: "done",
  status: "status",
  watch: "done",
  add_server: "server",
  set_sign_in: "server",
  give_client_secret: "done",
  unlock_store: "done",
  list_servers: "servers",
  show_server: "server",
  test_server: "discovery",
  rename_server: "server",
  pause_server: "server",
  trust_server: "server",
  read_paste: "pasted",
  find_servers: "found",
  remove_server: "signed_out",
  resume_sign_in: "sign_in",
  park_sign_in: "done",
  change_passphrase: "done",
  begin_sign_in: "sign_in",
  confirm_sign_in: "done",
  paste_callback: "done",
  cancel_sign_in: "done",
  sign_out: "signed_out",
  list_accounts: "accounts",
  rename_account: "done",
  remove_account: "signed_out",
  use_account: "switched",
  list_profiles: "profiles",
  create_profile: "profiles",
  use_profile: "profile_used",
  change_profile: "profiles",
  delete_profile: "profiles",
  plan_preset: "preset_plan",
  plan_preset_update: "preset_plan",
  apply_preset: "presets",
  list_presets: "presets",
  remove_preset: "presets",
  change_settings: "settings",
  list_apps: "apps",
  plan_connect: "plan",
  plan_restore: "plan",
  apply_plan: "done",
  doctor: "checks",
  stop: "done",
} as const satisfies Record<Verb, Response["kind"]>;
