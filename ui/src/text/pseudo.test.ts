// A second language would reach every word: with all strings bracketed, no text of ours is without brackets.
import { cleanup, render, screen } from "@testing-library/svelte";
import { afterEach, expect, test, vi } from "vitest";

vi.mock("./en", async (original) => {
  const bracket = (value: unknown): unknown => {
    if (typeof value === "string") return `⟦${value}⟧`;
    if (typeof value === "function") return (...given: unknown[]) => bracket((value as (...all: unknown[]) => unknown)(...given));
    if (Array.isArray(value)) return value.map(bracket);
    if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bracket(inner)]));
    return value;
  };
  return { en: bracket((await original<typeof import("./en")>()).en) };
});

const { default: App } = await import("../App.svelte");
const { fakeHost } = await import("../ipc/fake/host");

afterEach(cleanup);

test.each([
  ["servers", "tab-servers", "⟦Needs attention⟧"],
  ["servers", "tab-apps", "⟦Apps⟧"],
  ["presets", "tab-presets", "⟦Presets⟧"],
  ["unsaved", "tab-settings", "⟦Settings⟧"],
  ["servers", "server-github", "⟦Who acts as whom⟧"],
  ["servers", "server-random", "⟦Accounts⟧"],
  ["first-run", "import-found", "⟦Import from your apps⟧"],
] as const)("%s, %s: every word comes from the catalogue", async (scene, button, words) => {
  const host = fakeHost(scene, "?pace=0");
  render(App, { host });
  (await screen.findByTestId(button)).click();
  await screen.findAllByText(words);
  await screen.findAllByText(/⟦/);
  expect(unbracketed(document.body, texts(host.world))).toEqual([]);
});

test("a word that is not from the catalogue is found", () => {
  document.body.innerHTML = "<p>⟦ours⟧ ana@acme.example</p><p>Hard coded</p>";
  expect(unbracketed(document.body, "ana@acme.example")).toEqual(["Hard coded"]);
});

/** Texts on the page that are neither bracketed nor the world's own. */
function unbracketed(root: Element, known: string): string[] {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found: string[] = [];
  while (walker.nextNode() !== null) {
    const text = walker.currentNode.textContent?.trim() ?? "";
    const letters = text.replaceAll(/⟦[^]*⟧/g, "").match(/\p{L}{2,}/gu) ?? [];
    if (letters.some((word) => !known.includes(word.toLowerCase())) && walker.currentNode.parentElement?.closest("style, script, kbd") === null) {
      found.push(text);
    }
  }
  return found;
}

/** Everything that the agent says, in lower case, and the names of months and days. */
function texts(world: unknown): string {
  const months = Array.from({ length: 12 }, (_, month) => new Intl.DateTimeFormat(undefined, { month: "short" }).format(new Date(2026, month)));
  return `${JSON.stringify(world)} ${months.join(" ")} am pm`.toLowerCase();
}
