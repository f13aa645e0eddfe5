// The fake agent's sign-ins: the same steps in the same order, with a browser that comes back by itself.
import type { Error as AgentError, ServerView, SignInStep, SignInView, SignInWay } from "../generated/wire";
import { account as newAccount, fault, grant, lapsed, now, settle, type World } from "./world";

interface Wanted {
  server: string;
  account: string | null;
  select: boolean;
  timeout: number;
  way: SignInWay;
}

export interface Pace {
  /** Milliseconds between two steps. */
  step: number;
  /** Milliseconds that the person spends in the browser; never back, if null. */
  browser: number | null;
}

type Tell = (event: unknown) => void;

/** Sign-ins under way, by id. */
export class SignIns {
  readonly #answers = new Map<number, (yes: boolean) => void>();
  readonly #back = new Map<number, () => void>();
  readonly #cancels = new Map<number, () => void>();
  #next = 100;
  readonly #world: World;
  readonly #tell: Tell;
  readonly #pace: Pace;

  constructor(world: World, tell: Tell, pace: Pace) {
    this.#world = world;
    this.#tell = tell;
    this.#pace = pace;
  }

  begin(wanted: Wanted): number {
    const view: SignInView = {
      sign_in: this.#next++, server: wanted.server, account: wanted.account, began_at: now(), ends_at: now() + wanted.timeout, parked: false, steps: [],
    };
    this.#world.status.sign_ins.push(view);
    void this.#play(view, wanted);
    return view.sign_in;
  }

  /** Somebody attends a parked one again: what was handed over is told anew. */
  resume(id: number): void {
    const view = this.#world.status.sign_ins.find((one) => one.sign_in === id);
    if (view === undefined) return;
    view.parked = false;
    for (const step of [{ step: "found", what: "going on with the sign-in that was begun 1 min ago" } as SignInStep, ...view.steps]) {
      this.#tell({ event: "sign_in", sign_in: id, step: structuredClone(step) });
    }
  }

  confirm(id: number, yes: boolean): void {
    this.#answers.get(id)?.(yes);
  }

  /** The browser comes back, or its final address was pasted. */
  comeBack(id: number): void {
    this.#back.get(id)?.();
  }

  cancel(id: number): void {
    const cancel = this.#cancels.get(id);
    if (cancel !== undefined) {
      cancel();
      return;
    }
    const view = this.#world.status.sign_ins.find((one) => one.sign_in === id);
    if (view !== undefined) {
      this.#fail(view, fault("cancelled", "the sign-in was cancelled; nothing was changed"));
    }
  }

  paste(id: number, url: string): void {
    const view = this.#world.status.sign_ins.find((one) => one.sign_in === id);
    if (view !== undefined && !url.includes("code=")) {
      this.#step(view, { step: "found", what: "that is not the address of the last page: it holds no code" });
      return;
    }
    this.comeBack(id);
  }

  async #play(view: SignInView, wanted: Wanted): Promise<void> {
    const server = this.#world.status.servers.find((one) => one.id === wanted.server);
    if (server === undefined) return;
    let cancelled = false;
    const given = new Promise<"cancelled">((resolve) => this.#cancels.set(view.sign_in, () => { cancelled = true; resolve("cancelled"); }));
    if (wanted.way.by === "pasted") return this.#pasted(view, wanted, wanted.way.token);
    const host = new URL(server.endpoint).host;
    for (const what of [`reached ${host}: it asks for a sign-in`, "people sign in at login.acme.example", "Hallpass is known there as a client (dynamic registration)"]) {
      await pause(this.#pace.step);
      if (cancelled) return this.#fail(view, CANCELLED);
      const trouble = this.#world.faults.network;
      if (trouble !== undefined) return this.#fail(view, trouble);
      this.#step(view, { step: "found", what });
    }
    const way = wanted.way.by;
    if (way === "application") return this.#application(view, server, wanted);
    if (server.registration.vouched_by != null) return this.#vouched(view, server, server.registration.vouched_by);
    if (way === "device" && server.id === "linear") {
      return this.#fail(view, fault("failed", "https://login.acme.example does not offer signing in on another device", "leave --device out; on a machine without a browser say --no-browser and paste the final address"));
    }
    if (way === "device") this.#step(view, deviceCode(view.ends_at));
    else this.#step(view, { step: "open_browser", url: `https://login.acme.example/authorize?client_id=hallpass&state=${String(view.sign_in)}`, port: 41235 });
    const back = new Promise<"back">((resolve) => this.#back.set(view.sign_in, () => resolve("back")));
    const auto = this.#pace.browser === null ? [] : [pause(this.#pace.browser).then(() => "back" as const)];
    const late = pause(wanted.timeout * 1000).then(() => "late" as const);
    const how = await Promise.race([back, given, late, ...auto]);
    if (how === "cancelled") return this.#fail(view, CANCELLED);
    if (how === "late") return this.#fail(view, fault("failed", "nobody came back from the browser in time", "try again; give yourself more time with --timeout 20m"));
    this.#step(view, { step: "exchanging" });
    await pause(this.#pace.step);
    await this.#decide(view, wanted, given);
  }

  async #decide(view: SignInView, wanted: Wanted, given: Promise<"cancelled">): Promise<void> {
    const server = this.#world.status.servers.find((one) => one.id === wanted.server);
    if (server === undefined) return;
    const expected = server.grants.find((one) => one.account.id === wanted.account)?.account;
    const came = this.#visitor(expected);
    const known = expected !== undefined && expected.id === came.id;
    if (expected !== undefined && !known) {
      return this.#fail(view, fault("wrong_person", `you signed in as ${came.email ?? came.label}, expected ${expected.label}; nothing was changed`, `to add ${came.label} as another account: hallpass login ${server.id}; or try again as ${expected.label}`));
    }
    if (!known || came.proof === "unknown") {
      this.#step(view, { step: known ? "same_person" : "confirm", account: came });
      const answer = await Promise.race([new Promise<boolean>((resolve) => this.#answers.set(view.sign_in, resolve)), given]);
      if (answer !== true) {
        return this.#fail(view, answer === "cancelled" ? CANCELLED : fault("cancelled", known ? "it is somebody else; nothing was changed" : "that account was not wanted; nothing was changed"));
      }
    }
    const had = server.grants.findIndex((one) => one.account.id === came.id);
    if (had >= 0) server.grants[had] = grant(came);
    else server.grants.push(grant(came));
    server.trouble = null;
    if (server.selected === null || wanted.select) server.selected = came.id;
    if (!came.servers.includes(server.id)) came.servers.push(server.id);
    settle(this.#world);
    this.#step(view, { step: "done", account: came, selected: server.selected === came.id, renewable: true, ends_at: null, new_account: !known });
    this.#end(view);
    if (server.auth === "identity-provider") this.#vouchAll(server, came);
  }

  /** Nobody comes back: the application itself. */
  #application(view: SignInView, server: ServerView, wanted: Wanted): void {
    const app = newAccount("a-app", server.registration.client_id ?? "an application", { email: null, email_verified: false, subject: null, proof: "application" });
    server.grants = [...server.grants.filter((one) => one.account.id !== app.id), grant(app)];
    if (wanted.select) server.selected = app.id;
    settle(this.#world);
    this.#step(view, { step: "done", account: app, selected: server.selected === app.id, renewable: true, ends_at: null, new_account: true });
    this.#end(view);
  }

  /** By the word of the identity provider: no browser. */
  #vouched(view: SignInView, server: ServerView, provider: string): void {
    const there = this.#world.status.servers.find((one) => one.id === provider)?.grants[0]?.account;
    if (there === undefined) {
      return this.#fail(view, fault("not_found", `nobody is signed in at ${provider}, which vouches for people here`, `run: hallpass login ${provider}`));
    }
    this.#bind(server, there);
    this.#step(view, { step: "done", account: there, selected: server.selected === there.id, renewable: true, ends_at: null, new_account: false });
    this.#end(view);
  }

  #vouchAll(provider: ServerView, came: ReturnType<typeof newAccount>): void {
    for (const server of this.#world.status.servers.filter((one) => one.registration.vouched_by === provider.id)) this.#bind(server, came);
    this.#tell({ event: "changed" });
  }

  #bind(server: ServerView, who: ReturnType<typeof newAccount>): void {
    server.grants = [...server.grants.filter((one) => one.account.id !== who.id), grant({ ...who, proof: "vouched" })];
    server.selected ??= who.id;
    settle(this.#world);
  }

  /** A personal token: looked at, shown to the server, kept. */
  async #pasted(view: SignInView, wanted: Wanted, token: string): Promise<void> {
    const server = this.#world.status.servers.find((one) => one.id === wanted.server);
    if (server === undefined) return;
    await pause(this.#pace.step);
    if (/^<.*>$|^x{3,}$/i.test(token.trim())) {
      return this.#fail(view, fault("usage", "that is a placeholder out of some documentation, and no token", `copy the token itself, whole, then: hallpass login ${server.id} --token-stdin`));
    }
    this.#step(view, { step: "found", what: `${server.id} is shown the token` });
    await pause(this.#pace.step);
    if (token.includes("revoked")) {
      return this.#fail(view, fault("failed", `${server.id}: it refuses the token; nothing was kept`, `see whether it is whole and still valid where you made it, then: hallpass login ${server.id} --token-stdin`));
    }
    const who = token.split("-")[0] ?? "ana";
    const known = server.grants.find((one) => one.account.label === who)?.account;
    const expected = server.grants.find((one) => one.account.id === wanted.account)?.account;
    if (expected !== undefined && expected !== known) {
      return this.#fail(view, fault("wrong_person", `you signed in as ${who}, expected ${expected.label}; nothing was changed`, `to add ${who} as another account: hallpass login ${server.id}; or try again as ${expected.label}`));
    }
    const came = known ?? newAccount(`a-${who}`, who, { email: null, email_verified: false, subject: null, proof: "whoami", issuer: new URL(server.endpoint).origin });
    if (known === undefined) {
      this.#step(view, { step: "confirm", account: came });
      const cancelled = new Promise<"cancelled">((resolve) => this.#cancels.set(view.sign_in, () => resolve("cancelled")));
      const answer = await Promise.race([new Promise<boolean>((resolve) => this.#answers.set(view.sign_in, resolve)), cancelled]);
      if (answer !== true) return this.#fail(view, CANCELLED);
    }
    const ends = wanted.way.by === "pasted" ? wanted.way.ends_at : null;
    const made = grant(came, { pasted: true, renewable: false, renewed_at: null, scopes: [], expires_at: ends });
    server.grants = [...server.grants.filter((one) => one.account.id !== came.id), made];
    server.selected ??= came.id;
    settle(this.#world);
    this.#step(view, { step: "done", account: came, selected: server.selected === came.id, renewable: false, ends_at: null, new_account: known === undefined });
    this.#end(view);
  }

  /** Who sits at the browser: whom the scene sends, or the expected one. */
  #visitor(expected: ReturnType<typeof newAccount> | undefined) {
    const { visitors } = this.#world;
    const planned = visitors[0];
    if (expected !== undefined && (planned === undefined || visitors.length > 1)) return expected;
    return visitors.length > 1 ? (visitors.shift() ?? newAccount("a-x", "eve@acme.example")) : (planned ?? newAccount("a-x", "eve@acme.example"));
  }

  #fail(view: SignInView, error: AgentError): void {
    this.#step(view, { step: "failed", error });
    this.#end(view);
  }

  #step(view: SignInView, step: SignInStep): void {
    view.steps.push(step);
    this.#tell({ event: "sign_in", sign_in: view.sign_in, step: structuredClone(step) });
  }

  #end(view: SignInView): void {
    this.#cancels.delete(view.sign_in);
    this.#world.status.sign_ins = this.#world.status.sign_ins.filter((one) => one !== view);
    this.#tell({ event: "changed" });
  }
}

/** Ends somebody's sign-in at a server, as time does. */
export function lapse(world: World, id: string): void {
  for (const server of world.status.servers.filter((one) => one.id === id)) {
    server.grants = server.grants.map((one) => (one.selected ? lapsed(one.account, "the sign-in ended") : one));
  }
  settle(world);
}

const CANCELLED = fault("cancelled", "the sign-in was cancelled; nothing was changed");

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A code for another device; the picture is no code that a reader could read. */
function deviceCode(ends_at: number): SignInStep {
  const side = 25;
  const finder = (x: number, y: number) => x < 7 && y < 7 && (x % 6 === 0 || y % 6 === 0 || (x > 1 && x < 5 && y > 1 && y < 5));
  const dark = (x: number, y: number) => finder(x, y) || finder(side - 1 - x, y) || finder(x, side - 1 - y) || (x > 7 && y > 7 && (x * 7 + y * 5 + x * y) % 3 === 0);
  const qr = Array.from({ length: side }, (_, y) => Array.from({ length: side }, (_, x) => (dark(x, y) ? "#" : ".")).join(""));
  return { step: "enter_code", user_code: "WDJB-MJHT", url: "https://login.acme.example/device", complete_url: null, qr, ends_at };
}
