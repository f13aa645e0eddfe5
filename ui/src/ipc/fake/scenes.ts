// The scenes: one world each, named in the address as `?scene=`.
import type { GrantView } from "../generated/wire";
import { hostile } from "./hostile";
import { lists } from "./lists";
import { apps, found } from "./files";
import { account, agent, fault, grant, lapsed, now, server, session, settle, world, type World } from "./world";

export const scenes = [
  "empty", "first-run", "servers", "one", "needs-sign-in", "stopped", "starting", "incompatible", "broken", "slow",
  "offline", "keychain-locked", "keychain-absent", "many", "hostile", "presets", "no-tray", "disk-full", "changed-outside",
  "app-running", "unverified", "wrong-person", "signing-in", "parked", "company", "unsaved", "dark", "open", "switching",
  "tokens",
] as const;
export type Scene = (typeof scenes)[number];

/** The scene that the address names; `empty` if it names none. */
export function sceneOf(search: string): Scene {
  const wanted = new URLSearchParams(search).get("scene");
  return scenes.find((scene) => scene === wanted) ?? "empty";
}

/** The world of a scene, as it begins. */
export function begin(scene: Scene): World {
  const made = MAKE[scene]();
  settle(made);
  return made;
}

const MAKE: Record<Scene, () => World> = {
  empty: () => world({ visitors: visitors() }),
  "first-run": () => world({ visitors: visitors(), apps: apps([]), found: found() }),
  servers: full,
  one: () => {
    const made = full();
    made.status.servers = made.status.servers.filter((one) => one.id === "tickets");
    made.status.sessions = made.status.sessions.filter((one) => one.server === "tickets");
    made.status.profiles = [];
    return made;
  },
  "needs-sign-in": () => {
    const made = full();
    made.status.servers = made.status.servers.filter((one) => one.id === "linear");
    made.status.sessions = [];
    made.status.profiles = [];
    return made;
  },
  stopped: () =>
    world({
      faults: { all: fault("agent_unavailable", "the Hallpass agent is not running", "run: hallpass agent run") },
      shell: { tray: true, version: "0.1.0", agent: "stopped" },
    }),
  starting: () =>
    world({
      faults: { all: fault("agent_unavailable", "the Hallpass agent is not running", "run: hallpass agent run") },
      shell: { tray: true, version: "0.1.0", agent: "starting" },
    }),
  incompatible: () =>
    world({
      faults: {
        all: fault("agent_unavailable", "the agent that runs is of another version (0.9.0)", "run: hallpass agent stop, then try again"),
      },
    }),
  broken: () => world({ faults: { all: fault("failed", "the state file is from a newer Hallpass", "install the newest Hallpass") } }),
  slow: () => world({ faults: { silent: true } }),
  offline: () => {
    const made = full();
    for (const one of made.status.servers) {
      one.trouble = `${new URL(one.endpoint).host} cannot be reached: no route to host`;
    }
    made.faults.network = fault("unreachable", "the network cannot be reached", "see whether you are online, then try again");
    return made;
  },
  "keychain-locked": () => {
    const made = full();
    made.status.agent = agent({ keychain: { state: "locked", store: "Secret Service" } });
    made.faults.network = fault("keychain_locked", "the keychain is locked", "unlock it, then try again");
    return made;
  },
  "keychain-absent": () => {
    const made = full();
    made.status.agent = agent({ keychain: { state: "absent", reason: "no program on this session offers a Secret Service" } });
    return made;
  },
  many: many,
  hostile: () => ({ ...world(), ...hostile() }),
  presets: () => {
    const made = full();
    made.status.presets = lists();
    return made;
  },
  "no-tray": () => {
    const made = full();
    made.shell.tray = false;
    return made;
  },
  "disk-full": () => {
    const made = full();
    made.faults.changes = fault("failed", "the state file cannot be written: no space left on device", "free some space on that disk, then try again");
    return made;
  },
  "changed-outside": () => {
    const made = full();
    made.faults.changedOutside = true;
    return made;
  },
  "app-running": () => {
    const made = full();
    made.faults.appRunning = "cursor";
    return made;
  },
  unverified: () => {
    const made = full();
    const notes = made.status.servers.find((one) => one.id === "notion");
    if (notes !== undefined) {
      const who = account("a-notes", "home notes", { email: null, proof: "unknown", subject: null });
      notes.grants = [lapsed(who, "the server does not accept the token any more")];
      notes.selected = who.id;
      made.visitors = [who];
    }
    return made;
  },
  "wrong-person": () => {
    const made = full();
    made.visitors = [account("a-ben", "ben@acme.example", { name: "Ben" })];
    return made;
  },
  "signing-in": () => {
    const made = full();
    made.status.sign_ins = [
      {
        sign_in: 77, server: "linear", account: "a-ana", began_at: now() - 60, ends_at: now() + 540, parked: false,
        steps: [
          { step: "found", what: "reached linear.acme.example: it asks for a sign-in" },
          { step: "found", what: "people sign in at login.acme.example" },
          { step: "open_browser", url: "https://login.acme.example/authorize?client_id=x", port: 41235 },
        ],
      },
    ];
    return made;
  },
  parked: () => {
    const made = MAKE["signing-in"]();
    made.status.sign_ins.forEach((one) => { one.parked = true; });
    return made;
  },
  company: () => {
    const made = full();
    const acme = server("acme", "Acme login", { auth: "identity-provider", endpoint: "https://login.acme.example", registration: { client_id: "hallpass" } });
    const payroll = server("payroll", "Payroll", { registration: { client_id: "hallpass-payroll", has_secret: true, vouched_by: "acme" } });
    const robot = server("robot", "Build robot", { registration: { client_id: "build-robot", has_secret: true } });
    made.status.servers = [acme, payroll, robot];
    made.status.sessions = [];
    made.status.profiles = [];
    return made;
  },
  unsaved: () => {
    const made = full();
    made.status.agent = agent({ unsaved: 2, pending_revocations: 1, proxies: { https_proxy: "http://proxy.acme.example:3128" } });
    return made;
  },
  dark: () => {
    const made = full();
    made.status.settings.theme = "dark";
    return made;
  },
  open: () => {
    const made = full();
    made.shell.open = { page: "sign_in", server: "linear" };
    return made;
  },
  tokens: () => {
    const told = (id: string, label: string, at: string) => account(id, label, { email: null, email_verified: false, subject: null, proof: "whoami", issuer: at });
    const pasted = { pasted: true, renewable: false, renewed_at: null, scopes: [] };
    const builds = server("builds", "Builds", { auth: "bearer", issuer: null, whoami: "current_user:id" });
    const ana = told("a-ana", "ana", "https://builds.acme.example");
    const code = server("code", "Code", { auth: "bearer", issuer: null, whoami: "get_me:id", selected: ana.id, grants: [grant(ana, { ...pasted, state: "revoked_by_server" } as Partial<GrantView>), grant(told("a-ben", "ben", "https://code.acme.example"), { ...pasted, expires_at: now() + 3 * 86400 })] });
    const plans = server("plans", "Plans", { selected: "a-home", grants: [grant(account("a-home", "home plans", { email: null, proof: "unknown", subject: null }), { ...pasted, expires_at: null })] });
    const made = world({ visitors: visitors() });
    made.status.servers = [builds, code, plans];
    return made;
  },
  switching: () => {
    const made = full();
    made.status.servers.filter((one) => one.id === "github").forEach((one) => { one.state = "switching"; });
    return made;
  },
};

/** Two people, two profiles, a server in every state that stays. */
function full(): World {
  const ana = account("a-ana", "ana@acme.example", { name: "Ana Acme" });
  const home = account("a-home", "ana@home.example", { name: "Ana", issuer: "https://github.example" });
  const work = account("a-work", "ana-work", { email: "ana@acme.example", issuer: "https://github.example" });
  const acme = { preset: "com.acme/dev-tools", title: "Acme dev tools", gone: false };
  const tickets = server("tickets", "Acme Tickets", { grants: [grant(ana)], selected: ana.id, lists: [acme] });
  const github = server("github", "GitHub", {
    endpoint: "https://api.github.example/mcp", issuer: "https://github.example", selected: work.id,
    grants: [grant(work, { scopes: ["repo", "read:org"] }), grant(home, { renewable: false, renewed_at: null, expires_at: now() + 8 * 86400, ends_at: now() + 8 * 86400, scopes: ["repo"] })],
    bound_apps: { codex: home.id },
  });
  const linear = server("linear", "Linear", {
    grants: [lapsed(ana, "the issuer no longer accepts the refresh token")], selected: ana.id, origin: { kind: "imported", app: "cursor" },
  });
  const notion = server("notion", "Notion", { grants: [grant(home)], selected: home.id, state: "renewing", endpoint: "https://mcp.notion.example/mcp" });
  const docs = server("docs", "Handbook", { auth: "none", issuer: null, endpoint: "http://127.0.0.1:8931/mcp", development: true });
  const wiki = server("wiki", "Wiki", { trouble: "wiki.acme.example cannot be reached: connection refused", grants: [grant(ana)], selected: ana.id });
  const random = server("random", "random.example", { closed: { by: "Acme dev tools", reason: "taken off the list on 20 Nov: it kept tokens in its logs" }, lists: [acme] });
  const paused = server("crm", "CRM", { paused: true, grants: [grant(ana), grant(home)], selected: null });
  const fresh = server("billing", "Billing", { lists: [{ ...acme, gone: true }] });
  const made = world({ visitors: visitors(), apps: apps(["tickets", "github"]), found: found() });
  made.status.servers = [tickets, github, linear, notion, docs, wiki, random, paused, fresh];
  made.status.sessions = [session("claude-desktop", tickets), session("cursor", tickets), session("cursor", github), session("codex", github, home.id)];
  made.status.profiles = [
    { name: "Home", selection: { github: home.id, notion: home.id, tickets: ana.id, linear: ana.id, wiki: ana.id }, in_use: false },
    { name: "Work", selection: { github: work.id, notion: home.id, tickets: ana.id, linear: ana.id, wiki: ana.id }, in_use: true },
  ];
  made.status.presets = lists().slice(0, 1);
  return made;
}

function visitors() {
  return [
    account("a-ben", "ben@acme.example", { name: "Ben Builder" }),
    account("a-cara", "cara@acme.example", { name: "Cara" }),
    account("a-dan", "dan@acme.example", { email_verified: false }),
  ];
}

function many(): World {
  const made = world({ visitors: visitors() });
  made.status.servers = Array.from({ length: 500 }, (_, n) => {
    const people = Array.from({ length: 20 }, (_, k) => account(`a-${String(n)}-${String(k)}`, `person${String(k)}@team${String(n)}.example`));
    const grants = people.map((who) => (n % 50 === 3 ? lapsed(who, "the sign-in ended") : grant(who)));
    return server(`server-${String(n)}`, `Server ${String(n)}`, { grants, selected: people[n % 20]?.id ?? null });
  });
  made.status.sessions = made.status.servers.slice(0, 40).map((one) => session("cursor", one));
  return made;
}
