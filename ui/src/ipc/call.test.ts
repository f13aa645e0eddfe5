// Requests and their answers belong together, in types and at run time.
import { expect, test } from "vitest";
import { asError, call, type Host } from "./call";

function answering(value: unknown): Host {
  const none = () => Promise.resolve(() => undefined);
  return { call: () => Promise.resolve(value), shell: () => Promise.resolve(null), listen: none, listenShell: none };
}

test("an answer of the wrong kind is an error and not a view", async () => {
  await expect(call(answering({ kind: "servers" }), "status")).rejects.toMatchObject({ code: "failed" });
  await expect(call(answering(null), "status")).rejects.toMatchObject({ code: "failed" });
});

test("an answer has the type of its request", async () => {
  const { checks } = await call(answering({ kind: "checks", checks: [] }), "doctor");
  expect(checks).toEqual([]);
  // @ts-expect-error -- the doctor answers checks, not servers
  expect((await call(answering({ kind: "checks", checks: [] }), "doctor")).servers).toBeUndefined();
});

test("a request without its fields does not compile", async () => {
  const host = answering({ kind: "done" });
  // @ts-expect-error -- which sign-in?
  await call(host, "cancel_sign_in");
  // @ts-expect-error -- there is no such field
  await call(host, "cancel_sign_in", { sign_in: 1, token: "x" });
  // @ts-expect-error -- there is no such verb
  await expect(call(host, "give_me_tokens")).rejects.toMatchObject({ code: "failed" });
});

test("whatever is thrown becomes an error without its insides", () => {
  expect(asError({ code: "failed", message: "m", hint: "" })).toEqual({ code: "failed", message: "m" });
  expect(asError(new Error("boom"))).toEqual({ code: "failed", message: "boom" });
  expect(asError({ secret: "x" }).message).toBe("[object Object]");
});
