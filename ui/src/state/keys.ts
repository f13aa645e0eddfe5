// The keys that work everywhere. Inside a sheet or a field only those that cannot be meant as text.
import { flushSync } from "svelte";
import type { Model } from "./model.svelte";
import { PAGES } from "./place";

export function keys(model: Model, event: KeyboardEvent): void {
  if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) {
    return;
  }
  const command = event.ctrlKey || event.metaKey;
  const writing = event.target instanceof HTMLElement && event.target.matches("input:not([type=checkbox], [type=radio]), textarea");
  if (command && (event.key === "n" || event.key === "f")) {
    event.preventDefault();
    toBox(model);
  } else if (command && PAGES[Number(event.key) - 1] !== undefined) {
    event.preventDefault();
    model.go(PAGES[Number(event.key) - 1] ?? "servers");
  } else if (writing) {
    return;
  } else if (command && event.key === "z") {
    if (model.toasts.undo()) event.preventDefault();
  } else if (event.key === "/" && !command) {
    event.preventDefault();
    toBox(model);
  } else if (event.key === "?") {
    event.preventDefault();
    model.sheet = { kind: "keys" };
  } else if (event.key === "Escape" && (model.place.server !== undefined || model.place.import)) {
    event.preventDefault();
    model.go("servers");
  }
}

/** The box on the page of servers. */
function toBox(model: Model): void {
  if (model.place.page !== "servers" || model.place.server !== undefined || model.place.import) {
    model.go("servers");
  }
  flushSync();
  document.querySelector<HTMLElement>("[data-box]")?.focus();
}
