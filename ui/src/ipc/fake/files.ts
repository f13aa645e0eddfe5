// The fake apps' files: what they hold, and how a plan changes them.
import type { AppView, EntryView, FoundServerView, LocationView, PlanView, PlannedEntry } from "../generated/wire";
import { app, entry, location, type World } from "./world";

/** Three apps that are installed and one that is not; `ours` are connected in Cursor. */
export function apps(ours: string[]): AppView[] {
  const cursor = ours.map((id) => entry(id, "ours", { server: id }));
  return [
    app("claude-desktop", "Claude Desktop", [
      location("~/.config/Claude/claude_desktop_config.json", [
        entry("linear", "remote", { host: "linear.acme.example", secrets: ["Linear key"] }),
        entry("notion", "mcp_remote", { host: "mcp.notion.example" }),
        entry("filesystem", "local"),
      ]),
    ], { running: true }),
    app("cursor", "Cursor", [
      location("~/.cursor/mcp.json", [...cursor, entry("github-old", "remote", { host: "api.github.example", secrets: ["GitHub token"] })]),
    ]),
    app("codex", "Codex", [location("~/.codex/config.toml", [entry("billing", "remote", { host: "billing.acme.example", secrets: ["bearer token", "API key"] })])]),
    app("vs-code", "VS Code", [location("~/.config/Code/User/mcp.json", [], { problem: "the file is not valid JSON: line 4, column 2" })]),
    app("windsurf", "Windsurf", [location("~/.codeium/windsurf/mcp_config.json", [], { exists: false, reason: "where it would be" })]),
  ];
}

/** What an import finds in them. */
export function found(): FoundServerView[] {
  const one = (name: string, url: string | null, apps: string[], over: Partial<FoundServerView> = {}): FoundServerView => ({
    name, url, headers: {}, apps, secrets: [], server: null, problem: null, ...over,
  });
  return [
    one("billing", "https://billing.acme.example/mcp", ["codex"], { secrets: ["bearer token", "API key"] }),
    one("github-old", "https://api.github.example/mcp", ["cursor", "claude-desktop"], { secrets: ["GitHub token"] }),
    one("linear", "https://linear.acme.example/mcp", ["claude-desktop"], { secrets: ["Linear key"] }),
    one("notion", "https://mcp.notion.example/mcp", ["claude-desktop"]),
    one("filesystem", null, ["claude-desktop"], { problem: "a local command: it has no account, and stays as it is" }),
  ];
}

/** Works out how connecting or restoring changes an app's file, and what carries it out. */
export function plan(world: World, id: string, kind: "connect" | "restore", only: string[] | null): { view: PlanView; apply(): void } | null {
  const of = world.apps.find((one) => one.app === id);
  const file = of?.locations.find((one) => one.exists && one.problem === null);
  if (of === undefined || file === undefined) {
    return null;
  }
  const { entries, after, moved, restored } = kind === "connect" ? connect(world, file, only) : restore(file);
  const view: PlanView = {
    app: id,
    app_name: of.name,
    pick_up: id === "claude-desktop" ? "at_start" : "watches",
    path: file.path,
    digest: `${kind}-${id}-${String(plans++)}`,
    entries,
    diff: diff(id, file, file.entries, after),
    secrets_moved: moved,
    secrets_restored: restored,
    notes: [],
    empty: entries.every((one) => one.kind === "keep" || one.kind === "conflict"),
  };
  return { view, apply: () => { file.entries = after; } };
}

let plans = 1;
/** What an entry was before it became ours. */
const originals = new Map([["~/.cursor/mcp.json github", entry("github", "remote", { host: "api.github.example", secrets: ["GitHub token"] })]]);

function connect(world: World, file: LocationView, only: string[] | null) {
  const entries: PlannedEntry[] = [];
  const after = [...file.entries];
  let moved = 0;
  for (const server of world.status.servers.filter((one) => (only === null ? one.closed === null : only.includes(one.id)))) {
    const host = new URL(server.endpoint).host;
    const at = after.findIndex((one) => one.server === server.id || (one.kind !== "local" && one.host === host));
    const old = after[at];
    const ours = entry(old?.name ?? server.id, "ours", { server: server.id });
    if (old === undefined) {
      after.push(ours);
      entries.push({ name: ours.name, kind: "add", reason: "it is not in the file yet", server: server.id });
    } else if (old.kind === "ours") {
      entries.push({ name: old.name, kind: "keep", reason: "it is connected already", server: server.id });
    } else {
      originals.set(`${file.path} ${old.name}`, old);
      after[at] = ours;
      moved += old.secrets.length;
      const reason = old.secrets.length > 0 ? `its ${old.secrets.join(" and ")} ${old.secrets.length > 1 ? "move" : "moves"} to the keychain, for undo only` : "it calls the same server";
      entries.push({ name: old.name, kind: "replace", reason, server: server.id });
    }
  }
  for (const local of file.entries.filter((one) => one.kind === "local" || one.kind === "other")) {
    entries.push({ name: local.name, kind: "keep", reason: "a local command without an account", server: null });
  }
  return { entries, after, moved, restored: 0 };
}

function restore(file: LocationView) {
  const entries: PlannedEntry[] = [];
  const after: EntryView[] = [];
  let restored = 0;
  for (const one of file.entries) {
    const old = originals.get(`${file.path} ${one.name}`);
    if (one.kind !== "ours") {
      after.push(one);
    } else if (old === undefined) {
      entries.push({ name: one.name, kind: "remove", reason: "Hallpass had added it", server: one.server });
    } else {
      after.push(old);
      restored += old.secrets.length;
      entries.push({ name: one.name, kind: "restore", reason: "as it was before", server: one.server });
    }
  }
  return { entries, after, moved: 0, restored };
}

function diff(app: string, file: LocationView, before: EntryView[], after: EntryView[]): string {
  const form = file.path.endsWith(".toml") ? TOML : JSONC;
  const lines = [`--- ${file.path}`, `+++ ${file.path}`, "@@", ...form.head];
  const body = (of: EntryView, mark: string) => form.entry(of, app).map((line) => `${mark}${line}`);
  for (const one of before) {
    const next = after.find((two) => two.name === one.name);
    lines.push(...(next === one ? body(one, " ") : [...body(one, "-"), ...(next === undefined ? [] : body(next, "+"))]));
  }
  for (const one of after.filter((two) => before.every((old) => old.name !== two.name))) {
    lines.push(...body(one, "+"));
  }
  return [...lines, ...form.foot, ""].join("\n");
}

const PROGRAM = "/home/ana/.hallpass/bin/hallpass";
const args = (of: EntryView, app: string) => `["bridge", "--app", "${app}", "--server", "${of.server ?? ""}"]`;
const url = (of: EntryView) => `https://${of.host ?? "[…]"}/mcp`;

/** How entries look in a file. */
interface Form {
  head: string[];
  foot: string[];
  entry(of: EntryView, app: string): string[];
}

const JSONC: Form = {
  head: [" {", '   "mcpServers": {'],
  foot: ["   }", " }"],
  entry(of, app) {
    const inner =
      of.kind === "ours"
        ? [`"command": "${PROGRAM}",`, `"args": ${args(of, app)}`]
        : of.kind === "local"
          ? ['"command": "[…]"']
          : [`"url": "${url(of)}",`, ...(of.secrets.length > 0 ? ['"headers": { "Authorization": "[…]" }'] : [])];
    return [`    "${of.name}": {`, ...inner.map((line) => `      ${line}`), "    },"];
  },
};

const TOML: Form = {
  head: [],
  foot: [],
  entry(of, app) {
    const inner =
      of.kind === "ours"
        ? [`command = "${PROGRAM}"`, `args = ${args(of, app)}`]
        : of.kind === "local"
          ? ['command = "[…]"']
          : [`url = "${url(of)}"`, ...(of.secrets.length > 0 ? ['bearer_token = "[…]"'] : [])];
    return [`[mcp_servers.${of.name}]`, ...inner, ""];
  },
};
