// Where the window is, and the sheet that lies over it. One of each.
import type { Way } from "./sign_ins.svelte";
import type { AccountId, ClientAppId, PastedView, PresetPlanView, ServerId, SignInId } from "../ipc/generated/wire";

export type Page = "servers" | "apps" | "presets" | "settings";

export const PAGES = ["servers", "apps", "presets", "settings"] as const satisfies readonly Page[];

/** A page, or what lies one step below it. */
export type Place =
  | { page: Page; server?: never; import?: never }
  | { page: "servers"; server: ServerId; import?: never }
  | { page: "servers"; import: true; server?: never };

/** A dialog. */
export type Sheet =
  | { kind: "sign_in"; server: ServerId; account: AccountId | null; id: SignInId | null; way?: Way }
  | { kind: "add"; pasted: PastedView }
  | { kind: "plan"; app: ClientAppId; mode: "connect" | "restore"; servers: ServerId[] | null }
  | { kind: "subscribe"; source: string; key: string }
  | { kind: "preset"; plan: PresetPlanView }
  | { kind: "confirm"; title: string; text: string; yes: string; run(): Promise<void> }
  | { kind: "ask"; title: string; label: string; value: string; hint?: string; yes: string; note?(value: string): string | null; run(value: string): Promise<void> }
  | { kind: "profile"; name: string }
  | { kind: "keys" };
