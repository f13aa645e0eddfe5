// What the fake agent makes of a pasted text: enough of each form to show every answer of the real one.
import type { PastedServerView, PastedView } from "../generated/wire";
import type { World } from "./world";

/** Reads a pasted text. Never keeps it. */
export function read(world: World, text: string): PastedView {
  const trimmed = text.trim();
  const none = { servers: [], lists: [] };
  if (trimmed.startsWith("{")) {
    return json(world, trimmed);
  }
  if (trimmed.startsWith("hallpass://subscribe")) {
    const url = new URL(trimmed);
    const source = url.searchParams.get("url") ?? "";
    const key = url.searchParams.get("key");
    return { ...none, read_as: "a Hallpass link", problem: null, lists: [{ source, key, key_words: key === null ? null : "amber canyon violet engine marble harbor timber oxygen" }] };
  }
  const address = /https?:\/\/[^\s"']+/.exec(trimmed)?.[0];
  if (address === undefined) {
    return { ...none, read_as: "text", problem: "no server address was found in it; paste a URL, a link, or a snippet of an app's configuration" };
  }
  const words = trimmed === address ? "a URL" : trimmed.startsWith("claude") ? "a claude mcp add command" : "a command";
  return { ...none, read_as: words, servers: [one(world, null, address, /key|token|secret/i.test(address) ? ["token in the address"] : [])], problem: null };
}

function json(world: World, text: string): PastedView {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { read_as: "text", servers: [], lists: [], problem: "it looks like JSON and is not: it breaks off or has a stray comma; paste the whole snippet" };
  }
  const table = (value as { mcpServers?: Record<string, { url?: string; headers?: Record<string, string> }> }).mcpServers ?? {};
  const servers = Object.entries(table).map(([name, of]) => {
    const secrets = Object.keys(of.headers ?? {}).some((header) => /authorization|key/i.test(header)) ? ["bearer token"] : [];
    return of.url === undefined ? { ...one(world, name, "https://x.example", []), url: null, problem: "a local command: it has no account" } : one(world, name, of.url, secrets);
  });
  return { read_as: `a JSON snippet with ${String(servers.length)} servers`, servers, lists: [], problem: servers.length === 0 ? "it holds no mcpServers" : null };
}

function one(world: World, name: string | null, address: string, secrets: string[]): PastedServerView {
  const url = new URL(address);
  url.search = "";
  const known = world.status.servers.find((server) => server.endpoint === url.href);
  return { label: name ?? url.host, url: url.href, headers: {}, secrets, server: known?.id ?? null, problem: null };
}
