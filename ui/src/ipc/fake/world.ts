// What the fake agent knows: the same views that the real one sends, and builders for them.
import type {
  AccountView, AgentView, AppView, EntryView, Error as AgentError, FoundServerView, GrantView, LocationView, ServerView,
  SessionView, SettingsView, StatusView,
} from "../generated/wire";
import type { ShellView } from "../shell";

/** The fake agent's whole world; scenes make one, requests change it. */
export interface World {
  status: StatusView;
  apps: AppView[];
  found: FoundServerView[];
  shell: ShellView;
  /** Who comes back from the browser next, in this order. */
  visitors: AccountView[];
  faults: Faults;
}

/** What goes wrong. */
export interface Faults {
  /** Every request fails so. */
  all?: AgentError;
  /** No request is ever answered. */
  silent?: boolean;
  /** Every request that changes something fails so. */
  changes?: AgentError;
  /** Adding, testing and signing in fail so. */
  network?: AgentError;
  /** The next plan's file is changed before the plan is applied. */
  changedOutside?: boolean;
  /** The app whose file is changed runs. */
  appRunning?: string;
}

/** Seconds since 1970. The browser's clock, so that a test that moves it moves the fake too. */
export function now(): number {
  return Math.floor(Date.now() / 1000);
}

const HOUR = 3600;

export function account(id: string, label: string, over: Partial<AccountView> = {}): AccountView {
  return {
    id, label, name: null, email: label, email_verified: true, organization: null, issuer: "https://login.acme.example", subject: `sub-${id}`,
    proof: "id_token", proven_at: now() - HOUR, servers: [], pasted: [], ...over,
  };
}

export function grant(of: AccountView, over: Partial<GrantView> = {}): GrantView {
  return {
    account: of, renewable: true, ends_at: null, ends_soon: false, pasted: false, scopes: ["openid", "tickets:read"], expires_at: now() + HOUR, signed_in_at: now() - 40 * HOUR,
    renewed_at: now() - 1200, selected: false, state: "active", ...over,
  } as GrantView;
}

/** A grant that needs a new sign-in. */
export function lapsed(of: AccountView, reason: string, over: Partial<GrantView> = {}): GrantView {
  return { ...grant(of, over), state: "needs_sign_in", reason } as GrantView;
}

export function server(id: string, label: string, over: Partial<ServerView> = {}): ServerView {
  return {
    id, label, endpoint: `https://${id}.acme.example/mcp`, auth: "oauth", state: "signed_out", origin: { kind: "hand-made" },
    headers: {}, registration: {}, development: false, private_network: false, era: "handshake", selected: null, grants: [],
    bound_apps: {}, issuer: "https://login.acme.example", whoami: null, paused: false, closed: null, trouble: null, lists: [],
    private_ca: false, ...over,
  };
}

export function session(app: string, of: ServerView, account: string | null = of.selected): SessionView {
  return { app, server: of.id, account, pid: 4121, parent: `/opt/${app}/${app}`, since: now() - 840 };
}

export function app(id: string, name: string, locations: LocationView[], over: Partial<AppView> = {}): AppView {
  return { app: id, name, running: false, locations, bound: {}, ...over };
}

export function location(path: string, entries: EntryView[], over: Partial<LocationView> = {}): LocationView {
  return { path, reason: "where it keeps its settings", exists: true, problem: null, entries, ...over };
}

export function entry(name: string, kind: EntryView["kind"], over: Partial<EntryView> = {}): EntryView {
  return { name, kind, server: null, host: null, secrets: [], ...over };
}

export function agent(over: Partial<AgentView> = {}): AgentView {
  return {
    version: "0.1.0", pid: 4711, root: "/home/ana/.hallpass", started_at: now() - 5 * HOUR,
    keychain: { state: "ready", store: "Secret Service" }, proxies: {}, unsaved: 0, pending_revocations: 0, ...over,
  };
}

export function settings(over: Partial<SettingsView> = {}): SettingsView {
  return { keep_in_tray: true, start_at_login: false, notify: true, theme: "system", ...over };
}

/** A world with a running agent and nothing else. */
export function world(over: Partial<World> = {}): World {
  return {
    status: {
      agent: agent(), servers: [], sessions: [], profiles: [], presets: [], sign_ins: [], settings: settings(),
    },
    apps: [], found: [], visitors: [], faults: {},
    shell: { tray: true, version: "0.1.0", agent: "running" },
    ...over,
  };
}

export function fault(code: AgentError["code"], message: string, hint?: string): AgentError {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

/** Settles what follows from grants and the Selection: who is selected, and each server's word. */
export function settle(world: World): void {
  const { servers, profiles, sessions } = world.status;
  for (const server of servers) {
    for (const one of server.grants) {
      one.selected = one.account.id === server.selected;
    }
    server.state = stateOf(server);
    if (server.state === "switching") server.grants.forEach((one) => { one.selected = false; });
    for (const session of sessions.filter((session) => session.server === server.id)) {
      session.account = server.bound_apps[session.app] ?? server.selected;
    }
  }
  const selection = Object.fromEntries(servers.flatMap((s) => (s.selected === null ? [] : [[s.id, s.selected]])));
  const key = (of: Record<string, string>) => JSON.stringify(Object.entries(of).sort());
  for (const profile of profiles) {
    profile.in_use = key(profile.selection) === key(selection) && servers.every((one) => one.state !== "switching");
  }
}

function stateOf(server: ServerView): ServerView["state"] {
  const chosen = server.grants.find((one) => one.selected);
  if (server.closed !== null) return "blocked";
  if (server.paused) return "paused";
  if (server.trouble !== null) return "unreachable";
  if (server.auth === "none") return "open";
  if (server.grants.length === 0) return "signed_out";
  if (chosen === undefined) return "nobody_chosen";
  if (chosen.state === "needs_sign_in" || chosen.state === "revoked_by_server") return chosen.state;
  return server.state === "renewing" || server.state === "switching" ? server.state : "connected";
}
