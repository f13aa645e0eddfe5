// The fake administrator's lists: those that are followed, and what following one would change.
import type { PresetItemView, PresetPlanView, PresetView } from "../generated/wire";
import { now, server, type World } from "./world";

const WORDS = "amber canyon violet engine marble harbor timber oxygen";
const DAY = 86_400;

/** One in good order, one unsigned, one stale with trouble, one with an update that waits. */
export function lists(): PresetView[] {
  return [
    list("com.acme/dev-tools", "Acme dev tools", { servers: ["tickets", "random"], removed: ["com.acme/crm"] }),
    list("team", "team.mcpreset", { source: "~/Downloads/team.mcpreset", key: null, key_words: null, serial: 2, expires: null, contact: null, servers: ["docs"] }),
    list("com.acme/sales", "Acme sales", {
      stale: true, expires: now() - 3 * DAY, checked_at: now() - 9 * DAY,
      problem: "the list's serial went back from 42 to 40: it was refused, and the one in force stays", servers: [],
    }),
    list("com.acme/data", "Acme data", { waiting: planOf("com.acme/data", "Acme data", "https://lists.acme.example/data.json", WORDS), servers: ["wiki"] }),
  ];
}

/** What following a list from there would change. */
export function planOf(id: string, title: string, source: string, words: string | null): PresetPlanView {
  const item = (kind: PresetItemView["kind"], name: string, label: string, over: Partial<PresetItemView> = {}): PresetItemView => ({
    kind, name, label, endpoint: `https://${name.split("/")[1] ?? name}.acme.example/mcp`, issuer: "https://login.acme.example",
    scopes: ["openid", "read"], reason: "", server: null, warnings: [], ...over,
  });
  return {
    digest: `preset-${id}`, id, title, source, key_words: words, serial: 43, previous_serial: words === null ? null : 42,
    expires: now() + 90 * DAY, contact: "it@acme.example",
    items: [
      item("new", "com.acme/metrics", "Acme Metrics", { reason: "it is new on the list" }),
      item("changed", "com.acme/wiki", "Wiki", { server: "wiki", reason: "it asks for more: write", warnings: ["wider permissions: people are asked again"] }),
      item("moved", "com.acme/billing", "Billing", { server: "billing", reason: "its address changed: it becomes a new server, and no sign-in goes with it" }),
      item("gone", "com.acme/old", "Old notes", { endpoint: null, reason: "it left the list; it stays here until you remove it" }),
      item("revoked", "com.acme/bad", "random.example", { endpoint: null, reason: "the list closes it: it kept tokens in its logs" }),
    ],
    warnings: words === null ? ["the list is not signed: whoever can change it decides what you connect to"] : [],
    empty: false,
  };
}

/** Follows the list of a plan. */
export function follow(world: World, plan: PresetPlanView): void {
  const { presets, servers } = world.status;
  const known = presets.find((one) => one.id === plan.id);
  if (known === undefined) {
    presets.push(list(plan.id, plan.title, { source: plan.source, key_words: plan.key_words, key: plan.key_words === null ? null : "RWQ", serial: plan.serial, servers: ["metrics"] }));
  } else {
    Object.assign(known, { serial: plan.serial, waiting: null, problem: null, stale: false, checked_at: now() });
  }
  if (servers.every((one) => one.id !== "metrics")) {
    servers.push(server("metrics", "Acme Metrics", { lists: [{ preset: plan.id, title: plan.title, gone: false }] }));
  }
}

function list(id: string, title: string, over: Partial<PresetView>): PresetView {
  return {
    id, title, source: "https://lists.acme.example/dev-tools.json", key: "RWQ", key_words: WORDS, serial: 42, issued: now() - 5 * DAY,
    expires: now() + 88 * DAY, stale: false, contact: "it@acme.example", checked_at: now() - 7200, problem: null, servers: [],
    removed: [], waiting: null, ...over,
  };
}
