// The flows of apps' files, lists and settings.
import { expect } from "./stage.mjs";

// Not imported from flows.mjs, which imports this file.
const id = (page, name) => page.getByTestId(name).first();
const button = (page, name) => page.getByRole("button", { name, exact: true }).first();
const see = (page, words) => (typeof words === "string" ? page.getByText(words, { exact: true }) : page.getByText(words)).first().waitFor();

export const flowsOfApps = {
  "first run: import, apply, sign in": {
    at: "scene=first-run&pace=0&browser=20",
    async play(page, by) {
      await see(page, "4 servers found in Codex, Cursor, and Claude Desktop. Nothing has changed yet.");
      await by.press(id(page, "import-found"));
      await see(page, "4 secrets lie in files that other programs can read.");
      await by.tick(id(page, "found-notion"));
      await by.press(id(page, "import-go"));
      await see(page, /These files would change/);
      expect((await page.evaluate(() => globalThis.hallpass_fake.calls["apply_plan"])) === undefined, "a file was changed before anybody said yes");
      await by.press(id(page, "import-apply-cursor"));
      await see(page, "Applied");
      await by.press(id(page, "import-apply-codex"));
      await by.press(id(page, "import-to-sign-in"));
      await by.press(id(page, "sign-in-billing"));
      await by.press(id(page, "confirm-yes"));
      await by.press(id(page, "sheet-done"));
      await by.press(id(page, "sign-in-linear"));
      await by.press(id(page, "confirm-yes"));
      await by.press(id(page, "sheet-done"));
      await by.press(id(page, "import-done"));
      await id(page, "server-billing").waitFor();
      expect((await page.getByTestId("server-mcp").count()) === 0, "what was not ticked was imported");
    },
  },
  "connect an app and restore it": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-apps"));
      await see(page, "2 secrets in plain text");
      await by.press(id(page, "connect-codex"));
      await see(page, /2 secrets leave this file/);
      await page.getByText('command = "/home/ana/.hallpass/bin/hallpass"').first().waitFor();
      await by.press(id(page, "apply"));
      await see(page, "Codex is connected.");
      await by.press(id(page, "restore-codex"));
      await see(page, /This writes 2 secrets back into the file in plain text/);
      await by.press(id(page, "apply"));
      await see(page, "Codex is as it was before.");
      await see(page, "2 secrets in plain text");
    },
  },
  "an app that runs says that it must be restarted": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-apps"));
      await by.press(id(page, "connect-claude-desktop"));
      await by.press(id(page, "apply"));
      await see(page, "Claude Desktop is connected. Restart it to apply.");
    },
  },
  "a file changed between plan and yes": {
    at: "scene=changed-outside&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-apps"));
      await by.press(id(page, "connect-codex"));
      await by.press(id(page, "apply"));
      await see(page, /Another program changed the file meanwhile/);
      await by.press(id(page, "apply"));
      await see(page, "Codex is connected.");
    },
  },
  "an app that runs and would overwrite its file": {
    at: "scene=app-running&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-apps"));
      await by.press(id(page, "connect-cursor"));
      await by.press(id(page, "apply"));
      await see(page, "Cursor is running and would overwrite the file.");
      await by.press(button(page, "Try again"));
      await see(page, "Cursor is connected.");
    },
  },
  "subscribe to a signed list": {
    at: "scene=one&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-presets"));
      await by.press(id(page, "subscribe"));
      await by.write(id(page, "list-source"), "https://lists.acme.example/broken.json");
      await by.press(id(page, "list-fetch"));
      await see(page, "The list does not parse: line 1 is not JSON.");
      await by.write(id(page, "list-source"), "https://lists.acme.example/tools.json");
      await by.write(id(page, "list-key"), "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
      await by.press(id(page, "list-fetch"));
      const words = await id(page, "key-words").textContent();
      expect(words.trim().split(" ").length === 8, `the key is not shown as eight words: ${words}`);
      expect((await page.evaluate(() => globalThis.hallpass_fake.calls["apply_preset"])) === undefined, "the list was followed before anybody said yes");
      await by.press(id(page, "list-accept"));
      await see(page, "You follow Acme tools now.");
      await see(page, /^Verified: signed with the key you pinned/);
    },
  },
  "a list without a signature is called so": {
    at: "scene=one&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-presets"));
      await by.press(id(page, "subscribe"));
      await by.write(id(page, "list-source"), "/home/ana/team.mcpreset");
      await by.press(id(page, "list-fetch"));
      await see(page, /Whoever can change it at its source decides/);
      await by.press(id(page, "list-accept"));
      await see(page, "Not signed: unverified");
    },
  },
  "take over a newer list, stop following another": {
    at: "scene=presets&pace=0",
    async play(page, by) {
      await by.press(id(page, "tab-presets"));
      await by.press(id(page, "review-com.acme/data"));
      await see(page, /no sign-in goes with it/);
      await see(page, /The list closes it/);
      await by.press(id(page, "list-accept"));
      await see(page, "Acme data is up to date.");
      await by.choose(page.getByRole("button", { name: "More for team.mcpreset" }), page.getByRole("menuitem", { name: "Stop following…" }));
      await by.press(id(page, "confirm"));
      await page.getByTestId("preset-team").waitFor({ state: "hidden" });
    },
  },
  "a list link in the box": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.write(id(page, "paste-box"), "hallpass://subscribe?url=https%3A%2F%2Flists.acme.example%2Ftools.json&key=RWQf6LRCGA9i53ml");
      await by.press(id(page, "add-button"));
      await by.press(button(page, "See the list…"));
      expect((await id(page, "list-key").inputValue()) === "RWQf6LRCGA9i53ml", "the key of the link is lost");
      await by.press(id(page, "list-fetch"));
      await see(page, "Follow Acme tools?");
    },
  },
  "settings and health check": {
    at: "scene=servers&pace=0&browser=20",
    async play(page, by) {
      await by.press(id(page, "tab-settings"));
      await by.tick(id(page, "start-at-login"));
      await by.tick(id(page, "notify"));
      await page.waitForFunction(() => globalThis.hallpass_fake.world.status.settings.start_at_login && !globalThis.hallpass_fake.world.status.settings.notify);
      await by.tick(page.getByRole("radio", { name: "Dark" }));
      await page.locator("html[data-theme=dark]").waitFor();
      await by.press(id(page, "doctor"));
      await see(page, "1 problem found.");
      await by.press(page.getByRole("main").getByRole("button", { name: "Sign in", exact: true }));
      await see(page, "Signed in as ana@acme.example");
      await by.press(id(page, "sheet-done"));
    },
  },
};
