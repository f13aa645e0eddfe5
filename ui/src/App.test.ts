// The window in each state of the agent, on the fake host.
import { cleanup, render, screen, waitFor } from "@testing-library/svelte";
import { afterEach, expect, test } from "vitest";
import App from "./App.svelte";
import { fakeHost } from "./ipc/fake/host";

afterEach(cleanup);

test("a running agent is shown with its version and process", async () => {
  render(App, { host: fakeHost("empty") });
  expect(await screen.findByText("Running")).toBeTruthy();
  expect(screen.getByText("Version 0.1.0, process 4711")).toBeTruthy();
  expect(await screen.findByText("No servers yet")).toBeTruthy();
});

test("an agent that is not there is not shown as an error without a way out", async () => {
  const host = fakeHost("stopped", "?pace=0");
  render(App, { host });
  expect(await screen.findByText("The Hallpass agent is not running")).toBeTruthy();
  screen.getByRole("button", { name: "Start the agent" }).click();
  expect(await screen.findByText("Running")).toBeTruthy();
  expect(host.calls["shell:start_agent"]).toBe(1);
});

test("labels are text, whatever they contain", async () => {
  render(App, { host: fakeHost("hostile") });
  expect(await screen.findByText("<script>alert(1)</script>")).toBeTruthy();
  expect(screen.getByText("Invoice[U+202E]gnp.exe[U+202C] [U+2066]left[U+2069][U+200B]")).toBeTruthy();
  expect(document.body.textContent.length).toBeLessThan(20_000);
});

test("the window asks once for many changes that come together, and never by itself", async () => {
  const host = fakeHost("servers");
  render(App, { host });
  await screen.findByText("Acme Tickets");
  expect(host.calls["status"]).toBe(1);
  for (let n = 0; n < 50; n += 1) host.say({ event: "changed" });
  host.say({ event: "something_newer" });
  host.say("nonsense");
  await waitFor(() => expect(host.calls["status"]).toBe(3));
  await new Promise((done) => setTimeout(done, 30));
  expect(host.calls["status"]).toBe(3);
});

test("what was known stays readable when the agent goes, and says so", async () => {
  const host = fakeHost("servers", "?pace=0");
  render(App, { host });
  await screen.findByText("Acme Tickets");
  host.kill();
  expect(await screen.findByText("The agent has stopped. What you see may be out of date.")).toBeTruthy();
  expect(screen.getByText("Acme Tickets")).toBeTruthy();
  host.revive();
  expect(await screen.findByText("Running")).toBeTruthy();
});

test("nobody is shown as the one who acts while an app may still act as somebody else", async () => {
  const host = fakeHost("switching", "?pace=0");
  render(App, { host });
  expect(await screen.findByText("Switching")).toBeTruthy();
  expect(screen.getByTestId("server-github").getAttribute("aria-label")).toContain("as somebody else in a moment");
  expect(screen.getByTestId("accounts-github").textContent).toContain("2 accounts");
  screen.getByTestId("server-github").click();
  await screen.findByText("Who acts as whom");
  expect(screen.queryByText("In use")).toBeNull();
});

test("what a person removed of a list is shown as that, and can be brought back", async () => {
  const host = fakeHost("presets", "?pace=0");
  render(App, { host });
  (await screen.findByTestId("tab-presets")).click();
  expect(await screen.findByText("com.acme/crm")).toBeTruthy();
  screen.getByRole("button", { name: "Bring back com.acme/crm" }).click();
  await waitFor(() => expect(host.calls["plan_preset_update"]).toBe(1));
});
