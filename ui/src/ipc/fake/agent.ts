// The fake agent: answers every verb from its world, as the real one would. Logic only as far as a view can tell.
import type { Verb } from "../call";
import type { AppView, CheckView, DiscoveryView, PlanView, PresetPlanView, Request, Response, ServerView } from "../generated/wire";
import { plan } from "./files";
import { follow, planOf } from "./lists";
import { read } from "./paste";
import { SignIns, type Pace } from "./sign_in";
import { fault, server as newServer, settle, type World } from "./world";

type Of<V extends Verb> = Extract<Request, { verb: V }>;

/** Answers requests on a world. */
export class FakeAgent {
  readonly world: World;
  readonly signIns: SignIns;
  readonly #tell: (event: unknown) => void;
  readonly #plans = new Map<string, { view: PlanView; apply(): void }>();
  #presetPlan: PresetPlanView | null = null;

  constructor(world: World, tell: (event: unknown) => void, pace: Pace) {
    this.world = world;
    this.#tell = tell;
    this.signIns = new SignIns(world, tell, pace);
  }

  /** Answers one request; throws an `AgentError`. */
  answer(request: Request): Response {
    const { status, faults } = this.world;
    if (!READS.includes(request.verb) && faults.changes !== undefined) {
      throw faults.changes;
    }
    switch (request.verb) {
      case "status":
        return { kind: "status", ...status };
      case "list_apps":
        return { kind: "apps", apps: this.world.apps.map((app) => this.#bound(app)) };
      case "find_servers":
        return { kind: "found", servers: this.world.found.map((one) => ({ ...one, server: status.servers.find((s) => s.endpoint === one.url)?.id ?? null })) };
      case "read_paste":
        return { kind: "pasted", ...read(this.world, request.text) };
      case "doctor":
        return { kind: "checks", checks: this.#checks() };
      case "test_server":
        return { kind: "discovery", ...this.#test(request.server) };
      case "list_profiles":
        return { kind: "profiles", profiles: status.profiles };
      case "list_presets":
        return { kind: "presets", presets: status.presets };
      case "list_servers":
        return { kind: "servers", servers: status.servers };
      case "show_server":
        return { kind: "server", ...this.#server(request.server) };
      case "list_accounts":
        return { kind: "accounts", accounts: [] };
      case "plan_connect":
        return this.#plan(request.app, "connect", request.servers ?? null);
      case "plan_restore":
        return this.#plan(request.app, "restore", null);
      case "plan_preset":
        return this.#planPreset(request);
      case "plan_preset_update":
        return this.#planUpdate(request.preset);
      case "begin_sign_in":
        return { kind: "sign_in", sign_in: this.signIns.begin(request) };
      case "resume_sign_in":
        this.signIns.resume(request.sign_in);
        return { kind: "sign_in", sign_in: request.sign_in };
      case "park_sign_in":
      case "change_passphrase":
        return { kind: "done" };
      case "confirm_sign_in":
        this.signIns.confirm(request.sign_in, request.yes);
        return { kind: "done" };
      case "paste_callback":
        this.signIns.paste(request.sign_in, request.url);
        return { kind: "done" };
      case "cancel_sign_in":
        this.signIns.cancel(request.sign_in);
        return { kind: "done" };
      case "record_environment":
      case "watch":
        return { kind: "done" };
      case "add_server":
      case "give_client_secret":
      case "unlock_store":
      case "rename_server":
      case "pause_server":
      case "trust_server":
      case "set_sign_in":
      case "remove_server":
      case "sign_out":
      case "rename_account":
      case "remove_account":
      case "use_account":
      case "create_profile":
      case "change_profile":
      case "use_profile":
      case "delete_profile":
      case "apply_preset":
      case "remove_preset":
      case "change_settings":
      case "apply_plan":
      case "stop":
        return this.#change(request);
    }
  }

  #change(request: Of<Changing>): Response {
    const { status } = this.world;
    const answer = ((): Response => {
      switch (request.verb) {
        case "add_server":
          return { kind: "server", ...this.#add(request) };
        case "rename_server":
          this.#server(request.server).label = request.label;
          return { kind: "server", ...this.#server(request.server) };
        case "pause_server":
          this.#server(request.server).paused = request.paused;
          return { kind: "server", ...this.#server(request.server) };
        case "trust_server":
          this.#server(request.server).private_ca = request.ca !== null;
          return { kind: "server", ...this.#server(request.server) };
        case "set_sign_in":
          this.#server(request.server).registration = { ...this.#server(request.server).registration, redirect: request.redirect, parameters: request.parameters, except: request.except, metadata_url: request.metadata_url };
          return { kind: "server", ...this.#server(request.server) };
        case "remove_server":
          status.servers = status.servers.filter((one) => one.id !== request.server);
          status.sessions = status.sessions.filter((one) => one.server !== request.server);
          return { kind: "signed_out", signed_out: [], pending: 0, not_revocable: 0, refused: 0, unreadable: 0, vouched: 0, pasted: 0 };
        case "sign_out":
          return this.#signOut([this.#server(request.server)], request.all ? null : request.account);
        case "remove_account":
          return this.#signOut(status.servers, request.account);
        case "rename_account":
          status.servers.flatMap((one) => one.grants).filter((one) => one.account.id === request.account).forEach((one) => { one.account.label = request.label; });
          return { kind: "done" };
        case "use_account":
          return this.#use(request);
        case "create_profile":
          status.profiles = status.profiles.filter((one) => one.name !== request.name);
          status.profiles.push({ name: request.name, selection: this.#selection(), in_use: true });
          return { kind: "profiles", profiles: status.profiles };
        case "delete_profile":
          status.profiles = status.profiles.filter((one) => one.name !== request.name);
          return { kind: "profiles", profiles: status.profiles };
        case "change_profile":
          for (const one of status.profiles.filter((each) => each.name === request.name)) {
            one.selection = Object.fromEntries(Object.entries(one.selection).filter(([server]) => server !== request.server));
            if (request.account !== null) one.selection[request.server] = request.account;
          }
          return { kind: "profiles", profiles: status.profiles };
        case "use_profile":
          return this.#useProfile(request.name);
        case "apply_preset":
          if (this.#presetPlan !== null) follow(this.world, this.#presetPlan);
          return { kind: "presets", presets: status.presets };
        case "remove_preset":
          status.presets = status.presets.filter((one) => one.id !== request.preset);
          return { kind: "presets", presets: status.presets };
        case "change_settings":
          status.settings = request.settings;
          return { kind: "settings", ...request.settings };
        case "apply_plan":
          return this.#apply(request.digest);
        case "give_client_secret":
        case "unlock_store":
        case "stop":
          return { kind: "done" };
      }
    })();
    settle(this.world);
    const copy = structuredClone(answer);
    this.#tell({ event: "changed" });
    return copy;
  }

  #server(id: string): ServerView {
    const found = this.world.status.servers.find((one) => one.id === id);
    if (found === undefined) throw fault("not_found", `there is no server ${id}`);
    return found;
  }

  #add(request: Of<"add_server">): ServerView {
    if (this.world.faults.network !== undefined) throw this.world.faults.network;
    const url = new URL(request.url);
    if (url.hostname.startsWith("down.")) throw fault("unreachable", `${url.host} cannot be reached: no such host`, "look at the address for a slip, then try again");
    const same = this.world.status.servers.find((one) => one.endpoint === url.href);
    if (same !== undefined) throw fault("usage", `${same.label} is that server already`);
    if (url.hostname.startsWith("10.") && !request.private_network) throw fault("usage", `${url.origin} lies in a private network`, "if that is right, add it with --private-network");
    const id = (url.hostname.split(".")[0] ?? "server") + (this.world.status.servers.some((one) => one.id === url.hostname.split(".")[0]) ? "-2" : "");
    const made = newServer(id, request.label ?? url.host, {
      endpoint: url.href, origin: request.imported_from === null ? { kind: "hand-made" } : { kind: "imported", app: request.imported_from },
      ...(request.identity_provider ? { auth: "identity-provider", issuer: url.href } : {}),
      registration: request.registration, private_network: request.private_network, private_ca: request.ca !== null,
      whoami: request.whoami, ...(request.personal_token ? { auth: "bearer", issuer: null } : {}),
      ...(url.hostname.startsWith("open") ? { auth: "none", issuer: null } : {}),
    });
    this.world.status.servers.push(made);
    settle(this.world);
    return made;
  }

  #signOut(servers: ServerView[], account: string | null): Response {
    const gone: [string, string][] = [];
    let pasted = 0;
    for (const server of servers) {
      const leaving = server.grants.filter((one) => account === null || one.account.id === account || one.account.label === account);
      gone.push(...leaving.map((one): [string, string] => [server.id, one.account.label]));
      pasted += leaving.filter((one) => one.pasted).length;
      server.grants = server.grants.filter((one) => !leaving.includes(one));
      if (leaving.some((one) => one.account.id === server.selected)) server.selected = null;
    }
    return { kind: "signed_out", signed_out: gone, pending: 0, not_revocable: 0, refused: 0, unreadable: 0, vouched: 0, pasted };
  }

  #use(request: Of<"use_account">): Response {
    const server = this.#server(request.server);
    const grant = server.grants.find((one) => one.account.id === request.account);
    if (request.app !== null) {
      if (request.follow_selection) delete server.bound_apps[request.app];
      else if (grant !== undefined) server.bound_apps[request.app] = grant.account.id;
    } else if (grant !== undefined) {
      server.selected = grant.account.id;
    }
    const acting = grant?.account ?? server.grants.find((one) => one.account.id === server.selected)?.account ?? null;
    const sessions = this.world.status.sessions.filter((one) => one.server === server.id).length;
    return { kind: "switched", server: server.id, app: request.app, account: acting, needs_sign_in: grant?.state === "needs_sign_in", acknowledged: sessions, cut_off: 0 };
  }

  #useProfile(name: string): Response {
    const profile = this.world.status.profiles.find((one) => one.name === name);
    if (profile === undefined) throw fault("not_found", `there is no profile ${name}`);
    const changed = this.world.status.servers.filter((one) => (profile.selection[one.id] ?? null) !== one.selected);
    for (const server of changed) server.selected = profile.selection[server.id] ?? null;
    const views = changed.map((one) => ({
      server: one.id, app: null, account: one.grants.find((g) => g.account.id === one.selected)?.account ?? null, needs_sign_in: false, acknowledged: 1, cut_off: 0,
    }));
    return { kind: "profile_used", profile: name, changed: views, acknowledged: changed.length, cut_off: 0 };
  }

  #selection(): Record<string, string> {
    return Object.fromEntries(this.world.status.servers.flatMap((one) => (one.selected === null ? [] : [[one.id, one.selected]])));
  }

  #plan(app: string, kind: "connect" | "restore", only: string[] | null): Response {
    const made = plan(this.world, app, kind, only);
    if (made === null) throw fault("not_found", `no file of ${app} can be changed`);
    this.#plans.set(made.view.digest, made);
    return { kind: "plan", ...made.view };
  }

  #apply(digest: string): Response {
    const made = this.#plans.get(digest);
    const { faults } = this.world;
    if (made === undefined) throw fault("not_found", "that plan is not known any more");
    if (faults.changedOutside === true) {
      faults.changedOutside = false;
      throw fault("changed_outside", `${made.view.path} was changed by another program meanwhile; nothing was written`);
    }
    if (faults.appRunning === made.view.app) {
      delete faults.appRunning;
      throw fault("app_running", "Cursor is running and would overwrite the file", "quit it, then try again");
    }
    made.apply();
    return { kind: "done" };
  }

  #planPreset({ source, key }: Of<"plan_preset">): Response {
    if (this.world.faults.network !== undefined) throw this.world.faults.network;
    if (source.includes("broken")) throw fault("failed", "the list does not parse: line 1 is not JSON", "ask whoever published it");
    if (source.includes("wrong")) throw fault("failed", "the signature is not of that key; nothing was taken over", "compare the key's eight words with the publisher");
    const words = key === null ? null : "amber canyon violet engine marble harbor timber oxygen";
    this.#presetPlan = planOf("com.acme/new-list", "Acme tools", source, words);
    return { kind: "preset_plan", ...this.#presetPlan };
  }

  #planUpdate(id: string): Response {
    const of = this.world.status.presets.find((one) => one.id === id);
    if (of === undefined) throw fault("not_found", `there is no list ${id}`);
    this.#presetPlan = of.waiting ?? { ...planOf(of.id, of.title, of.source, of.key_words), items: [], empty: true };
    return { kind: "preset_plan", ...this.#presetPlan };
  }

  #test(id: string): DiscoveryView {
    const server = this.#server(id);
    if (server.trouble !== null || this.world.faults.network !== undefined) {
      throw this.world.faults.network ?? fault("unreachable", server.trouble ?? "", "look whether it runs, then try again");
    }
    const host = new URL(server.endpoint).host;
    const steps = [`reached ${host}`, "it asks for a sign-in", "protected resource metadata found", "issuer login.acme.example found"];
    return { server: id, auth: server.auth, steps, issuer: server.issuer, resource: server.endpoint, scopes: ["openid", "tickets:read"], registration: "dynamic", proof: "id_token", device: true, quirks: [], warnings: [] };
  }

  #bound(app: AppView): AppView {
    const bound = this.world.status.servers.flatMap((one) => (one.bound_apps[app.app] === undefined ? [] : [[one.id, one.bound_apps[app.app] ?? ""]]));
    return { ...app, bound: Object.fromEntries(bound) };
  }

  #checks(): CheckView[] {
    const { agent, servers } = this.world.status;
    const locked = agent.keychain.state !== "ready";
    return [
      { name: "agent", state: "ok", found: `version ${agent.version}, pid ${String(agent.pid)}`, fix: "" },
      { name: "keychain", state: locked ? "problem" : "ok", found: locked ? "the keychain is locked" : "Secret Service, ready", fix: locked ? "unlock it" : "" },
      { name: "bridge path", state: "ok", found: `${agent.root}/bin/hallpass`, fix: "" },
      ...servers.filter((one) => one.state === "needs_sign_in").map((one): CheckView => ({ name: "sign-in", state: "problem", found: `somebody must sign in to ${one.id} again`, fix: `hallpass login ${one.id}` })),
      { name: "sign-outs", state: "warning", found: "1 issuer could not be told about a sign-out yet", fix: "nothing: it is tried again every minute while the agent runs" },
    ];
  }
}

type Changing =
  | "add_server" | "give_client_secret" | "unlock_store" | "rename_server" | "pause_server" | "trust_server" | "set_sign_in" | "remove_server" | "sign_out" | "rename_account"
  | "remove_account" | "use_account" | "create_profile" | "change_profile" | "use_profile" | "delete_profile" | "apply_preset" | "remove_preset"
  | "change_settings" | "apply_plan" | "stop";

const READS: readonly Verb[] = [
  "status", "watch", "record_environment", "list_apps", "find_servers", "read_paste", "doctor", "test_server", "list_profiles", "list_presets",
  "list_servers", "show_server", "list_accounts", "plan_connect", "plan_restore", "plan_preset", "plan_preset_update", "cancel_sign_in",
];
