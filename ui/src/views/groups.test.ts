// The list of servers: grouping, finding, and telling a name from something to add.
import { expect, test } from "vitest";
import { account, grant, server, session } from "../ipc/fake/world";
import type { ServerState } from "../ipc/generated/wire";
import { appsOf, grouped, isPaste, matching } from "./groups";

test("what needs the person comes first, and a state of a newer agent is not taken for a good one", () => {
  const states = ["connected", "needs_sign_in", "blocked", "paused", "open", "dreaming", "switching"] as ServerState[];
  const groups = grouped(states.map((state) => server(state, state, { state })));
  expect(groups.attention.map((one) => one.id)).toEqual(["dreaming", "needs_sign_in"]);
  expect(groups.connected.map((one) => one.id)).toEqual(["connected", "open", "switching"]);
  expect(groups.blocked.map((one) => one.id)).toEqual(["blocked"]);
  expect(groups.others.map((one) => one.id)).toEqual(["paused"]);
});

test("names are in the order of people", () => {
  const names = ["Server 10", "server 2", "Äpfel", "Zebra"];
  expect(grouped(names.map((name, at) => server(String(at), name))).others.map((one) => one.label)).toEqual(["Äpfel", "server 2", "Server 10", "Zebra"]);
});

test("a server is found by its name, its address and its people", () => {
  const all = [server("a", "GitHub", { grants: [grant(account("x", "ana@home.example"))] }), server("b", "Wiki")];
  expect(matching(all, "gith").map((one) => one.id)).toEqual(["a"]);
  expect(matching(all, "ANA@HOME").map((one) => one.id)).toEqual(["a"]);
  expect(matching(all, "b.acme").map((one) => one.id)).toEqual(["b"]);
  expect(matching(all, "  ")).toEqual(all);
  expect(matching(all, "https://new.example/mcp")).toEqual(all);
});

test("a paste is told from a name", () => {
  for (const text of ["https://x.example", '{"mcpServers"', "claude mcp add x", "npx mcp-remote x", "[a]\nb = 1"]) {
    expect(isPaste(text), text).toBe(true);
  }
  for (const text of ["github", "claude", "my wiki", "ana@home.example"]) {
    expect(isPaste(text), text).toBe(false);
  }
});

test("an app counts once for a server, however many connections it has", () => {
  const wiki = server("wiki", "Wiki");
  expect(appsOf([session("cursor", wiki), session("cursor", wiki), session("codex", wiki)]).get("wiki")).toEqual(["cursor", "codex"]);
});
