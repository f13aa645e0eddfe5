// What the window knows and where it is. Fed by requests and events, never by a timer.
import { createContext } from "svelte";
import { asError, call, type AgentError, type Answer, type Host, type Rest, type Verb } from "../ipc/call";
import { onEvent } from "../ipc/events";
import type { AppView, FoundServerView, ServerId, ServerView, StatusView } from "../ipc/generated/wire";
import { onShow, shell, type ShellView, type Show } from "../ipc/shell";
import type { Page, Place, Sheet } from "./place";
import { SignIns, type Way } from "./sign_ins.svelte";
import { Toasts } from "./toasts.svelte";

export class Model {
  readonly host: Host;
  readonly toasts = new Toasts();
  readonly signIns: SignIns;
  /** The newest answer of the agent; it stays when the agent goes. */
  status = $state.raw<StatusView | null>(null);
  /** Why the last question was not answered. */
  problem = $state.raw<AgentError | null>(null);
  shell = $state.raw<ShellView | null>(null);
  apps = $state.raw<AppView[] | null>(null);
  found = $state.raw<FoundServerView[] | null>(null);
  place = $state.raw<Place>({ page: "servers" });
  sheet = $state.raw<Sheet | null>(null);
  /** The shell has been asked to start the agent. */
  starting = $state(false);
  /** What the window was opened for. The shell tells it once. */
  #wish: Show | null = null;
  #asking = false;
  #again = false;

  constructor(host: Host) {
    this.host = host;
    this.signIns = new SignIns(host);
  }

  /** Listens and asks for the first time. Returns how to stop. */
  begin(): () => void {
    const stops = [
      onEvent(this.host, { changed: () => this.look(), signIn: (id, step) => this.signIns.step(id, step) }),
      onShow(this.host, (what) => this.show(what)),
    ];
    void Promise.all(stops).then(() => this.#first());
    return () => stops.forEach((stop) => void stop.then((end) => end()));
  }

  /** Asks the agent anew. Questions that come while one is open become one. */
  look(): void {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    void this.#ask().finally(() => {
      this.#asking = false;
      if (this.#again) {
        this.#again = false;
        this.look();
      }
    });
  }

  /** Asks for something; the status is asked anew if an error says that the agent is gone. */
  async ask<V extends Verb>(verb: V, ...rest: Rest<V>): Promise<Answer<V>> {
    try {
      return await call(this.host, verb, ...rest);
    } catch (reason) {
      const error = asError(reason);
      if (error.code === "agent_unavailable") {
        this.look();
      }
      throw error;
    }
  }

  /** Does something that has no place of its own to show an error. Whether it went well. */
  async attempt(what: () => Promise<void>): Promise<boolean> {
    try {
      await what();
      return true;
    } catch (reason) {
      this.toasts.fail(asError(reason));
      return false;
    }
  }

  /** Reads the apps' files. */
  async lookAtApps(): Promise<void> {
    const { apps } = await this.ask("list_apps", { location: {} });
    this.apps = apps;
  }

  /** Looks for servers in the apps' files. */
  async lookForServers(): Promise<FoundServerView[]> {
    const { servers } = await this.ask("find_servers", { location: {} });
    this.found = servers;
    return servers;
  }

  startAgent(): void {
    this.starting = true;
    void this.attempt(async () => {
      await shell(this.host, "start_agent", {});
      await this.#lookAtShell();
    }).finally(() => {
      this.starting = false;
      this.look();
    });
  }

  go(page: Page): void {
    this.place = { page };
  }

  open(server: ServerId): void {
    this.place = { page: "servers", server };
  }

  /** What the tray or a notification asks for. */
  show(what: Show): void {
    if (what.page !== "sign_in") {
      this.place = what.page === "servers" && what.server !== undefined ? { page: "servers", server: what.server } : { page: what.page };
      return;
    }
    this.place = { page: "servers" };
    if (what.server !== undefined && !(this.sheet?.kind === "sign_in" && this.sheet.server === what.server)) {
      this.signIn(what.server, this.needing(what.server));
    }
  }

  /** Opens the sign-in sheet: on the one under way, or on a new one. */
  signIn(server: ServerId, account: string | null = null, way: Way = "browser"): void {
    const running = this.signIns.running.find((one) => one.server === server && one.account === account);
    this.sheet = { kind: "sign_in", server, account, id: running?.id ?? null, way };
  }

  server(id: ServerId): ServerView | undefined {
    return this.status?.servers.find((one) => one.id === id);
  }

  /** Whom to sign in again there: the one in use. */
  needing(server: ServerId): string | null {
    const grant = this.server(server)?.grants.find((one) => one.selected && (one.state === "needs_sign_in" || one.state === "revoked_by_server"));
    return grant?.account.id ?? null;
  }

  /** The label of an app, as far as it is known. */
  appName(id: string): string {
    return this.apps?.find((one) => one.app === id)?.name ?? id;
  }

  async #first(): Promise<void> {
    await this.#lookAtShell();
    this.look();
  }

  async #ask(): Promise<void> {
    const before = this.status?.agent;
    const underWay = this.signIns.underWay;
    try {
      const status = await call(this.host, "status");
      const { agent } = status;
      this.status = status;
      this.problem = null;
      if (before !== undefined && (before.pid !== agent.pid || before.started_at !== agent.started_at)) {
        // Another agent knows nothing of what the one before was at, except what it says itself.
        this.signIns.lose([...underWay].filter((id) => status.sign_ins.every((one) => one.sign_in !== id)));
      }
      const found = this.signIns.take(status.sign_ins);
      if (before === undefined) {
        // For the names of apps; a failure shows on the page of apps.
        this.lookAtApps().catch(() => undefined);
        this.#arrive(found[0]?.id ?? null);
      }
    } catch (reason) {
      this.problem = asError(reason);
      await this.#lookAtShell();
    }
  }

  /** The first answer is there: the sheet of a sign-in under way comes back, or what the window was opened for. */
  #arrive(signIn: number | null): void {
    const one = signIn === null ? undefined : this.signIns.all.get(signIn);
    if (one !== undefined && this.sheet === null) {
      this.sheet = { kind: "sign_in", server: one.server, account: one.account, id: one.id };
    } else if (this.#wish !== null) {
      this.show(this.#wish);
    }
    this.#wish = null;
  }

  async #lookAtShell(): Promise<void> {
    try {
      this.shell = await shell(this.host, "view", {});
      this.#wish = this.shell.open ?? this.#wish;
    } catch {
      // Without a shell the window still shows what the agent says.
      this.shell = null;
    }
  }
}

/** The model of this window, for every component below `App`. */
export const [model, setModel] = createContext<Model>();
