// The way out of the web view. The only file that may import @tauri-apps: in a browser the fake takes its place.
import { invoke, isTauri } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { Host } from "./call";

/** The real host inside the window; the fake one in a browser, in the scene that `?scene=` names. */
export async function pickHost(search: string): Promise<Host> {
  if (isTauri()) {
    return tauriHost;
  }
  // A file of its own, which the window never loads.
  const { fakeHost, sceneOf } = await import("./fake/host");
  return fakeHost(sceneOf(search), search);
}

const tauriHost: Host = {
  call: (request) => invoke("call", { request }),
  shell: (request) => invoke("shell", { request }),
  listen: (handler) => listen("agent-event", (event) => handler(event.payload)),
  listenShell: (handler) => listen("shell-event", (event) => handler(event.payload)),
};
