// Sign-ins as they come: steps before their answer, a window that is opened in the middle, steps after the end.
import { expect, test } from "vitest";
import type { Host } from "../ipc/call";
import type { SignInStep, SignInView } from "../ipc/generated/wire";
import { ended, SignIns } from "./sign_ins.svelte";

const found = (what: string): SignInStep => ({ step: "found", what });
const failed: SignInStep = { step: "failed", error: { code: "cancelled", message: "m" } };
const none = () => Promise.resolve(() => undefined);

function host(before: () => void = () => undefined): Host {
  return {
    call: () => {
      before();
      return Promise.resolve({ kind: "sign_in", sign_in: 7 });
    },
    shell: () => Promise.resolve(null), listen: none, listenShell: none,
  };
}

test("steps that come before the answer are not lost", async () => {
  const signIns: SignIns = new SignIns(host(() => signIns.step(7, found("a"))));
  const begun = await signIns.begin("linear", null, false);
  signIns.step(7, found("b"));
  expect(begun.steps).toEqual([found("a")]);
  expect(signIns.all.get(7)?.steps).toEqual([found("a"), found("b")]);
});

test("a window opened in the middle takes up what the agent says is under way, once", () => {
  const signIns = new SignIns(host());
  const view: SignInView = { sign_in: 9, server: "linear", account: null, began_at: 1, ends_at: 601, parked: false, steps: [found("a")] };
  expect(signIns.take([view]).map((one) => one.id)).toEqual([9]);
  signIns.step(9, found("b"));
  expect(signIns.take([view])).toEqual([]);
  expect(signIns.all.get(9)?.steps.length).toBe(2);
  expect(signIns.take([{ ...view, steps: [found("a"), found("b"), found("c")] }])).toEqual([]);
  expect(signIns.all.get(9)?.steps.length).toBe(3);
});

test("nothing follows the end", async () => {
  const signIns = new SignIns(host());
  await signIns.begin("linear", null, false);
  signIns.step(7, failed);
  signIns.step(7, found("late"));
  const one = signIns.all.get(7);
  expect(one === undefined ? null : ended(one)).toEqual(failed);
  expect(signIns.running).toEqual([]);
});

test("what an agent was at is over when another one answers, and only that", async () => {
  const signIns = new SignIns(host());
  await signIns.begin("linear", null, false);
  const before = signIns.underWay;
  signIns.take([{ sign_in: 9, server: "github", account: null, began_at: 1, ends_at: 601, parked: false, steps: [] }]);
  signIns.lose(before);
  expect(signIns.running.map((one) => one.id)).toEqual([9]);
  const lost = signIns.all.get(7);
  const end = lost === undefined ? null : ended(lost);
  expect(end?.step === "failed" ? end.error.code : end).toBe("agent_unavailable");
});
