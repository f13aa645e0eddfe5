// Every error has a next step that a person in this window can take: all hints of the agent's source are read.
/// <reference types="node" />
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { en } from "./en";
import { details, hint } from "./error";
import type { ErrorCode } from "../ipc/generated/wire";

const codes = Object.keys(en.next.byCode) as ErrorCode[];
const hints = ["agent", "client-config", "ipc", "oauth", "preset"].flatMap((crate) => hintsBelow(join("../crates", crate, "src")));

it("finds the hints of the agent", () => {
  expect(hints.length).toBeGreaterThan(60);
  expect(hints).toContain("unlock your keychain, wait a moment, then try again");
});

it("turns every hint that names a command into what takes its place in the window", () => {
  for (const text of hints) {
    const shown = hint({ code: "failed", message: "m", hint: text });
    expect(shown, text).not.toBe("");
    expect(shown.replace("in a terminal: hallpass agent stop.", ""), text).not.toMatch(/hallpass [a-z]|(^|\s)--[a-z]/);
    if (/hallpass [a-z]|--[a-z]/.test(text)) expect(shown, text).not.toBe(en.next.byCode.failed);
  }
});

it("has a next step for every code, also without a hint", () => {
  expect(codes.length).toBeGreaterThan(10);
  for (const code of codes) {
    expect(hint({ code, message: "m" })).toMatch(/\w+\.$/);
  }
  expect(hint({ code: "unreachable", message: "m", hint: "look whether it runs, then try again" })).toBe("Look whether it runs, then try again.");
});

it("copies the agent's own words for whoever helps", () => {
  expect(details({ code: "failed", message: "it broke\u202E", hint: "run: hallpass doctor" })).toBe("code: failed\nmessage: it broke[U+202E]\nhint: run: hallpass doctor");
});

/** The literals that Rust files below a folder hand to `hint(..)`. */
function hintsBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((file) => file.isFile() && file.name.endsWith(".rs"))
    .flatMap((file) => [...readFileSync(join(file.parentPath, file.name), "utf8").matchAll(/hint\((?:format!\()?\s*"((?:[^"\\]|\\.)*)"/g)])
    .map((found) => found[1] ?? "");
}
