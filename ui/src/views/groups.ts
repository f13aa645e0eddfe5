// Which group of the list a server belongs to, and whether it is what somebody looks for. Pure.
import type { ServerState, ServerView, SessionView } from "../ipc/generated/wire";

export type Group = "attention" | "connected" | "blocked" | "others";

export const GROUPS = ["attention", "connected", "blocked", "others"] as const satisfies readonly Group[];

const GROUP_OF: Record<ServerState, Group> = {
  needs_sign_in: "attention", revoked_by_server: "attention", nobody_chosen: "attention", unreachable: "attention", connected: "connected", renewing: "connected", switching: "connected", open: "connected",
  blocked: "blocked", signed_out: "others", paused: "others",
};

/** The servers by group, each by name. */
export function grouped(servers: ServerView[]): Record<Group, ServerView[]> {
  const groups: Record<Group, ServerView[]> = { attention: [], connected: [], blocked: [], others: [] };
  for (const server of servers) {
    // A state of a newer agent is not taken for a good one.
    groups[GROUP_OF[server.state] as Group | undefined ?? "attention"].push(server);
  }
  const order = new Intl.Collator(undefined, { numeric: true });
  for (const group of GROUPS) {
    groups[group].sort((a, b) => order.compare(a.label.slice(0, 80), b.label.slice(0, 80)));
  }
  return groups;
}

/** Whether a text is meant as something to add rather than a name to find. */
export function isPaste(text: string): boolean {
  return /[:{\n]|^\s*(claude|npx|code|codex)\s/.test(text);
}

/** The servers whose name, address or people hold the text. */
export function matching(servers: ServerView[], text: string): ServerView[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "" || isPaste(text)) {
    return servers;
  }
  const has = (value: string | null) => value?.slice(0, 300).toLowerCase().includes(wanted) ?? false;
  return servers.filter((one) => has(one.label) || has(one.id) || has(one.endpoint) || one.grants.some((g) => has(g.account.label) || has(g.account.email)));
}

/** The apps that are connected to each server now, by id. */
export function appsOf(sessions: SessionView[]): Map<string, string[]> {
  const of = new Map<string, string[]>();
  for (const { app, server } of sessions) {
    const known = of.get(server) ?? [];
    if (!known.includes(app)) {
      of.set(server, [...known, app]);
    }
  }
  return of;
}
