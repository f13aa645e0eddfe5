// Names that were written to do harm: markup, length, direction, control characters.
import { app, entry, location, account, grant, server, session, world, type World } from "./world";

/** A world in which every text of others is hostile. */
export function hostile(): Partial<World> {
  const rtl = "\u202Egnp.exe\u202C";
  const evil = account("a-evil", `ana\u0000\u001b[31m@acme.example${rtl}`, { name: "<img src=x onerror=alert(1)>" });
  const long = account("a-long", "w".repeat(10_000));
  const script = server("script", "<script>alert(1)</script>", { grants: [grant(evil), grant(long)], selected: evil.id });
  const big = server("big", "A label of ten thousand characters ".repeat(290), { grants: [grant(long)], selected: long.id });
  const turned = server("turned", `Invoice${rtl} \u2066left\u2069\u200B`, { grants: [grant(evil)], selected: evil.id });
  const hebrew = server("hebrew", "שלום עולם", { grants: [grant(account("a-he", "אנה@דוגמה.example"))], selected: "a-he" });
  const path = server("path", "One very long address", { endpoint: `https://path.acme.example/${"segment/".repeat(200)}mcp`, trouble: `path.acme.example said: ${"<b>no</b> ".repeat(500)}`, grants: [grant(evil)], selected: evil.id });
  const made = world();
  made.status.servers = [script, big, turned, hebrew, path];
  made.status.sessions = [session("cursor", script)];
  made.status.profiles = [{ name: "<b>Work</b>", selection: {}, in_use: false }, { name: `Home${rtl}`, selection: { script: evil.id }, in_use: false }];
  made.apps = [
    app("cursor", "Cursor", [
      location(`~/.cursor/${rtl}/mcp.json`, [entry("<script>", "remote", { host: "script.acme.example", secrets: ["GitHub token"] }), entry("x".repeat(5000), "local")]),
    ]),
  ];
  return made;
}
