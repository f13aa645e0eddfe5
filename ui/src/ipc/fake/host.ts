// The same window without Rust: for design, screenshots and tests in a browser. `?scene=` names the world, `?browser=` and
// `?pace=` (milliseconds) how a sign-in goes; `window.hallpass_fake` plays the tray, the browser and the agent's death.
import { isRecord, type AgentError, type Host } from "../call";
import type { Request } from "../generated/wire";
import type { Show } from "../shell";
import { FakeAgent } from "./agent";
import { begin, sceneOf, scenes, type Scene } from "./scenes";
import { fault, settle, type World } from "./world";
import { lapse } from "./sign_in";

export { sceneOf, scenes, type Scene };

/** What stands outside the window, in the hands of a test. */
export interface FakeHost extends Host {
  world: World;
  /** How often each verb was asked. */
  calls: Record<string, number>;
  /** An event of the agent. */
  say(event: unknown): void;
  /** A wish of the tray. */
  show(what: Show): void;
  /** The browser of a sign-in comes back. */
  comeBack(signIn: number): void;
  /** The agent is gone from now on. */
  kill(): void;
  /** It is there again. */
  revive(): void;
  /** The person in use has to sign in again. */
  lapse(server: string): void;
  /** Somebody else, the tray or a command, switches. */
  switchTo(server: string, account: string): void;
}

/** A host that plays one scene. */
export function fakeHost(scene: Scene, search = ""): FakeHost {
  const world = begin(scene);
  const options = new URLSearchParams(search);
  const ms = (name: string, otherwise: number) => Number(options.get(name) ?? otherwise);
  const handlers = new Set<(event: unknown) => void>();
  const shellHandlers = new Set<(event: unknown) => void>();
  const say = (event: unknown) => handlers.forEach((handler) => handler(event));
  const agent = new FakeAgent(world, say, {
    step: ms("pace", 250),
    browser: options.get("browser") === "never" ? null : ms("browser", 1500),
  });
  const host: FakeHost = {
    world,
    calls: {},
    call: async (request: Request) => {
      host.calls[request.verb] = (host.calls[request.verb] ?? 0) + 1;
      await Promise.resolve();
      if (world.faults.silent === true) return new Promise(() => undefined);
      if (world.faults.all !== undefined) return Promise.reject(world.faults.all as AgentError & Error);
      return structuredClone(agent.answer(request));
    },
    shell: async (request: unknown) => {
      await Promise.resolve();
      const what = isRecord(request) ? request["do"] : undefined;
      host.calls[`shell:${String(what)}`] = (host.calls[`shell:${String(what)}`] ?? 0) + 1;
      if (what === "view") {
        const view = structuredClone(world.shell);
        delete world.shell.open;
        return view;
      }
      if (what === "start_agent") {
        world.shell.agent = "starting";
        setTimeout(host.revive, ms("pace", 250));
      }
      return null;
    },
    listen: (handler) => {
      handlers.add(handler);
      return Promise.resolve(() => handlers.delete(handler));
    },
    listenShell: (handler) => {
      shellHandlers.add(handler);
      return Promise.resolve(() => shellHandlers.delete(handler));
    },
    say,
    show: (what) => shellHandlers.forEach((handler) => handler({ show: what })),
    comeBack: (signIn) => agent.signIns.comeBack(signIn),
    kill: () => {
      world.faults.all = fault("agent_unavailable", "the Hallpass agent is not running", "run: hallpass agent run");
      world.shell.agent = "stopped";
      say({ event: "changed" });
    },
    revive: () => {
      delete world.faults.all;
      world.shell.agent = "running";
      // Another process, which knows of no sign-in.
      world.status.agent.pid += 1;
      world.status.sign_ins = [];
      say({ event: "changed" });
    },
    lapse: (server) => {
      lapse(world, server);
      say({ event: "changed" });
    },
    switchTo: (server, account) => {
      world.status.servers.filter((one) => one.id === server).forEach((one) => { one.selected = account; });
      settle(world);
      say({ event: "changed" });
    },
  };
  Object.assign(globalThis, { hallpass_fake: host });
  return host;
}
