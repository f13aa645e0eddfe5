// What the window asks of the desktop shell around it, and what the shell says by itself. No word here reaches the agent.
import { asError, isRecord, type Host } from "./call";

/** Where the window can be asked to go. */
export type ShownPage = "servers" | "apps" | "presets" | "settings" | "sign_in";

/** A wish of the tray or of a notification. */
export interface Show {
  page: ShownPage;
  server?: string;
}

/** The shell, as it is now. */
export interface ShellView {
  /** A tray host was found. */
  tray: boolean;
  version: string;
  agent: "running" | "starting" | "stopped";
  /** What the window was opened for. */
  open?: Show;
}

interface Shell {
  view: { fields: object; answer: ShellView };
  /** Opens the browser again at the address of that sign-in. The shell does it by itself the first time. */
  open_browser: { fields: { sign_in: number }; answer: unknown };
  start_agent: { fields: object; answer: unknown };
  quit: { fields: object; answer: unknown };
}

/** Asks the shell. Rejects with an `AgentError`. */
export async function shell<D extends keyof Shell>(
  host: Host,
  what: D,
  fields: Shell[D]["fields"],
): Promise<Shell[D]["answer"]> {
  try {
    return (await host.shell({ do: what, ...fields })) as Shell[D]["answer"];
  } catch (reason) {
    throw asError(reason);
  }
}

/** Calls `show` whenever the tray or a notification wants the window to show something. */
export function onShow(host: Host, show: (what: Show) => void): Promise<() => void> {
  return host.listenShell((event) => {
    const wish = isRecord(event) ? event["show"] : undefined;
    if (isRecord(wish) && PAGES.some((page) => page === wish["page"])) {
      const server = wish["server"];
      show({ page: wish["page"] as ShownPage, ...(typeof server === "string" ? { server } : {}) });
    }
  });
}

const PAGES: readonly ShownPage[] = ["servers", "apps", "presets", "settings", "sign_in"];
