// Holds what TypeScript cannot: who may import Tauri and the fake, and that no markup gets round the content security
// policy or the escaping of texts. Prints what breaks it.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../src", import.meta.url));
const host = join("ipc", "host.ts");
const fake = join("ipc", "fake");

/** What no file may do, with those that may after all. */
const rules = [
  { what: "only src/ipc/host.ts may import @tauri-apps", broken: /["']@tauri-apps\//, may: (path) => path === host },
  // By `import()`, so that the window does not carry it.
  { what: "only src/ipc/host.ts may load the fake, and only when it is needed", broken: /from ["'][^"']*fake\//, may: (path) => path.startsWith(fake) },
  { what: "texts of others are never markup", broken: /\{@html|\.innerHTML|\.outerHTML|insertAdjacentHTML/, may: () => false },
  { what: "the content security policy allows no style attribute", broken: /\sstyle=/, may: () => false },
  { what: "the window keeps nothing and asks nobody but its host", broken: /\b(localStorage|sessionStorage|indexedDB|XMLHttpRequest|WebSocket|EventSource)\b|\bfetch\(/, may: () => false },
];

/** What breaks a rule in `texts` (path -> text), a sentence each. */
export function offenders(texts) {
  return rules.flatMap(({ what, broken, may }) => Object.entries(texts).flatMap(([path, text]) => (!may(path) && broken.test(text) ? [`${what}, but ${path} does`] : [])));
}

// A check that cannot fail is no check.
const planted = {
  [host]: 'from "@tauri-apps/api/core"; import("./fake/host")',
  "A.svelte": 'import x from "@tauri-apps/api/core"',
  "B.svelte": 'import { fakeHost } from "./ipc/fake/host"',
  "C.svelte": "{@html server.label}",
  "D.svelte": '<p style="color: red">',
  "E.ts": "localStorage.setItem('a', 'b')",
};
if (offenders(planted).length !== 5 || offenders({ [host]: planted[host] }).length !== 0) {
  console.error("the import rules do not find the violations that were planted for them");
  process.exit(1);
}

const found = offenders(
  Object.fromEntries(
    readdirSync(source, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".test.ts"))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [relative(source, path), readFileSync(path, "utf8")]),
  ),
);
for (const sentence of found) {
  console.error(sentence);
}
process.exitCode = found.length === 0 ? 0 : 1;
