// Every flow, in words that a mouse and a keyboard both understand. `by` is the person, `page` is only looked at.
import { expect } from "./stage.mjs";
import { flowsOfApps } from "./flows_apps.mjs";
import { flowsOfTokens } from "./flows_tokens.mjs";

const id = (page, name) => page.getByTestId(name).first();
const button = (page, name) => page.getByRole("button", { name, exact: true }).first();
const item = (page, name) => page.getByRole("menuitem", { name }).first();
const radio = (page, name) => page.getByRole("menuitemradio", { name }).first();
const see = (page, words) => (typeof words === "string" ? page.getByText(words, { exact: true }) : page.getByText(words)).first().waitFor();
const gone = (page, words) => page.getByText(words, { exact: true }).first().waitFor({ state: "hidden" });
const fake = (page, name, ...values) => page.evaluate(([what, args]) => globalThis.hallpass_fake[what](...args), [name, values]);
const calls = (page, verb) => page.evaluate((name) => globalThis.hallpass_fake.calls[name] ?? 0, verb);

export const tools = { id, button, item, radio, see, gone, fake, calls };

/** name -> where it begins, and what happens. */
export const flows = {
  "add by URL and sign in": {
    at: "scene=empty&pace=0&browser=20",
    async play(page, by) {
      await by.write(id(page, "paste-box"), "https://metrics.acme.example/mcp");
      await by.press(id(page, "add-button"));
      await see(page, "Read as a URL.");
      await by.write(page.getByLabel("Name", { exact: true }), "Metrics");
      await by.press(id(page, "add-and-sign-in"));
      await see(page, "Reached metrics.acme.example: it asks for a sign-in.");
      await see(page, "Use this account?");
      await by.press(id(page, "confirm-yes"));
      await see(page, "Signed in as ben@acme.example");
      await by.press(id(page, "sheet-done"));
      await see(page, "Connected");
      await id(page, "server-metrics").waitFor();
    },
  },
  "add what asks nobody to sign in": {
    at: "scene=empty&pace=0",
    async play(page, by) {
      await by.write(id(page, "paste-box"), "https://open.acme.example/mcp");
      await by.press(id(page, "add-button"));
      await by.press(id(page, "add-and-sign-in"));
      await see(page, "open.acme.example is added. It asks nobody to sign in.");
    },
  },
  "paste a snippet with a secret": {
    at: "scene=empty&pace=0",
    async play(page, by) {
      const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
      const snippet = { mcpServers: { metrics: { url: "https://metrics.acme.example/mcp", headers: { Authorization: `Bearer ${secret}` } }, notes: { url: "https://notes.acme.example/mcp" } } };
      await by.write(id(page, "paste-box"), JSON.stringify(snippet, null, 2));
      await by.press(id(page, "add-button"));
      await see(page, /The text holds a secret \(bearer token\)/);
      expect(!(await page.content()).includes(secret), "the secret stays on the page");
      expect((await id(page, "paste-box").inputValue()) === "", "the secret stays in the box");
      await by.tick(page.getByRole("checkbox", { name: /^notes/ }));
      await by.press(button(page, "Add 1 server"));
      await id(page, "server-metrics").waitFor();
    },
  },
  "paste what is not JSON": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.write(id(page, "paste-box"), '{"mcpServers": {"x": ');
      await by.press(id(page, "add-button"));
      await see(page, "Nothing to add was found");
      await by.press(button(page, "Cancel"));
      await gone(page, "Nothing to add was found");
    },
  },
  "an address that does not answer": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.write(id(page, "paste-box"), "https://down.example/mcp");
      await by.press(id(page, "add-button"));
      await by.press(id(page, "add-only"));
      await see(page, "down.example cannot be reached: no such host.");
      await by.press(button(page, "Cancel"));
      expect((await page.getByTestId("server-down").count()) === 0, "it was added all the same");
    },
  },
  "sign in again": {
    at: "scene=servers&pace=0&browser=20",
    async play(page, by) {
      await by.press(id(page, "sign-in-linear"));
      await see(page, "Signed in as ana@acme.example");
      await by.press(id(page, "sheet-done"));
      await gone(page, "Needs sign-in");
    },
  },
  "open again, copy the link, paste the address": {
    at: "scene=servers&pace=0&browser=never",
    async play(page, by) {
      await by.press(id(page, "sign-in-linear"));
      await see(page, "Waiting for your browser");
      await by.press(button(page, "Open again"));
      expect((await calls(page, "shell:open_browser")) === 1, "the browser was not opened again");
      await by.press(button(page, "Copy link"));
      await see(page, /The link is copied/);
      await by.press(button(page, "Paste the address…"));
      await by.write(id(page, "paste-address"), "https://example.org/nothing");
      await by.press(button(page, "Continue"));
      await see(page, /it holds no code/);
      await by.write(id(page, "paste-address"), "http://127.0.0.1:41235/callback?code=abc&state=x");
      await by.press(button(page, "Continue"));
      await see(page, "Signed in as ana@acme.example");
    },
  },
  "cancel a sign-in": {
    at: "scene=servers&pace=0&browser=never",
    async play(page, by) {
      await by.press(id(page, "sign-in-linear"));
      await see(page, "Waiting for your browser");
      await by.press(button(page, "Cancel"));
      await page.getByTestId("sign-in-sheet").waitFor({ state: "hidden" });
      expect((await calls(page, "cancel_sign_in")) === 1, "the agent was not told");
      await see(page, "Needs sign-in");
    },
  },
  "hide a sign-in and come back to it": {
    at: "scene=servers&pace=0&browser=never",
    async play(page, by) {
      await by.press(id(page, "sign-in-linear"));
      await see(page, "Waiting for your browser");
      await by.press(button(page, "Hide"));
      await see(page, "A sign-in to Linear is under way.");
      await by.press(button(page, "Show"));
      await see(page, "Waiting for your browser");
      await fake(page, "comeBack", 100);
      await see(page, "Signed in as ana@acme.example");
      expect((await calls(page, "begin_sign_in")) === 1, "a second sign-in was begun");
    },
  },
  "not me": {
    at: "scene=servers&pace=0&browser=20",
    async play(page, by) {
      await by.choose(id(page, "more-tickets"), item(page, "Sign in as someone else…"));
      await see(page, "Use this account?");
      await by.press(id(page, "confirm-no"));
      await see(page, "That account was not wanted; nothing was changed.");
      await by.press(id(page, "retry"));
      await see(page, "Signed in as cara@acme.example at login.acme.example.");
      await by.press(id(page, "confirm-yes"));
      await see(page, "Acme Tickets is still used as ana@acme.example.");
      await by.press(button(page, "Use cara@acme.example now"));
      await see(page, "Acme Tickets now acts as cara@acme.example.");
    },
  },
  "still the same person": {
    at: "scene=unverified&pace=0&browser=20",
    async play(page, by) {
      await by.press(id(page, "sign-in-notion"));
      await see(page, "Nothing proves who came back. Is this still home notes?");
      await by.press(id(page, "confirm-no"));
      await see(page, "It is somebody else; nothing was changed.");
      await by.press(id(page, "retry"));
      await by.press(id(page, "confirm-yes"));
      await see(page, "Signed in as home notes");
    },
  },
  "another person than expected": {
    at: "scene=wrong-person&pace=0&browser=20",
    async play(page, by) {
      await by.press(id(page, "sign-in-linear"));
      await see(page, "Another person than expected came back");
      expect((await page.getByText(/hallpass login/).count()) === 0, "the window speaks as the command line");
      await button(page, "Try again as ana@acme.example").waitFor();
      await by.press(button(page, "Add as a new account"));
      await by.press(id(page, "confirm-yes"));
      await see(page, "Signed in as ben@acme.example");
    },
  },
  "a sign-in without a network": {
    at: "scene=offline&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-billing"));
      await by.press(id(page, "sign-in-billing"));
      await see(page, "Not signed in");
      await see(page, "The network cannot be reached.");
      await by.press(button(page, "Close"));
      await page.getByTestId("sign-in-sheet").waitFor({ state: "hidden" });
    },
  },
  "sign in on another device, and in the browser after all": {
    at: "scene=company&pace=0&browser=never",
    async play(page, by) {
      await by.press(id(page, "server-robot"));
      await by.press(id(page, "sign-in-device"));
      await see(page, "WDJB-MJHT");
      await see(page, "Waiting for you at the other device");
      await page.getByRole("img", { name: /^QR code of that address/ }).waitFor();
      await by.press(id(page, "copy-code"));
      await see(page, "The code is copied.");
      await by.press(id(page, "use-browser"));
      await see(page, "Waiting for your browser");
      await by.press(id(page, "use-device"));
      await see(page, "WDJB-MJHT");
      await page.evaluate(() => { for (const id of [100, 101, 102, 103]) globalThis.hallpass_fake.comeBack(id); });
      await by.press(id(page, "confirm-yes"));
      await see(page, "Signed in as ben@acme.example");
      expect((await calls(page, "cancel_sign_in")) === 2, "each change of way ends the one before");
    },
  },
  "an application is shown as no person and acts only where it is chosen": {
    at: "scene=company&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-robot"));
      await by.press(id(page, "sign-in-application"));
      await see(page, /not a person\. It acts only where/);
      await by.press(id(page, "sheet-done"));
      await see(page, "build-robot (not a person)");
      await see(page, "Nobody chosen");
    },
  },
  "a company's identity provider: added, a server that it vouches for added, one sign-in for both": {
    at: "scene=empty&pace=0&browser=20",
    async play(page, by) {
      await by.write(id(page, "paste-box"), "https://login.acme.example/");
      await by.press(id(page, "add-button"));
      await see(page, "Read as a URL.");
      await by.write(page.getByLabel("Name", { exact: true }), "Acme login");
      await by.press(page.getByText("More options"));
      await by.pick(id(page, "add-known"), "It is an identity provider itself, and no MCP server");
      await see(page, "This needs the client id that an administrator registered.");
      await by.write(page.getByLabel("Client id"), "hallpass");
      await by.press(id(page, "add-only"));
      await see(page, "Acme login is added.");
      await by.write(id(page, "paste-box"), "https://payroll.acme.example/mcp");
      await by.press(id(page, "add-button"));
      await by.write(page.getByLabel("Name", { exact: true }), "Payroll");
      await by.press(page.getByText("More options"));
      await by.write(page.getByLabel("Client id"), "hallpass-payroll");
      await by.write(page.getByLabel("Client secret"), "s3cret-of-payroll");
      await by.pick(id(page, "add-known"), "Acme login vouches for them");
      await by.press(id(page, "add-and-sign-in"));
      await see(page, /nobody is signed in at login/i);
      await by.press(button(page, "Close"));
      await by.press(id(page, "sign-in-login"));
      await by.press(id(page, "confirm-yes"));
      await see(page, "Signed in as ben@acme.example");
      await by.press(id(page, "sheet-done"));
      await by.press(id(page, "server-payroll"));
      await see(page, /Acme login vouches for people here/);
      await see(page, "ben@acme.example");
    },
  },
  "a sign-in that was left is gone on with": {
    at: "scene=parked&pace=0&browser=never",
    async play(page, by) {
      await see(page, "Going on with the sign-in that was begun 1 min ago.");
      await see(page, "Waiting for your browser");
      expect((await calls(page, "resume_sign_in")) === 1, "it is attended once");
      expect((await calls(page, "begin_sign_in")) === 0, "a second one was begun");
      await by.press(button(page, "Cancel"));
      await page.getByTestId("sign-in-sheet").waitFor({ state: "hidden" });
    },
  },
  "switch in the list and undo": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.choose(id(page, "accounts-github"), radio(page, /ana@home/));
      await see(page, "GitHub now acts as ana@home.example.");
      await by.press(button(page, "Undo"));
      await see(page, "GitHub now acts as ana-work.");
      await page.getByTestId("accounts-github").getByText("ana-work").waitFor();
    },
  },
  "use an account, then let one app go its own way": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-github"));
      await see(page, /cannot renew, ends/);
      await by.press(id(page, "use-a-home"));
      await see(page, "GitHub now acts as ana@home.example.");
      await by.choose(id(page, "acts-cursor"), radio(page, "ana-work"));
      await see(page, "Cursor now acts as ana-work on GitHub.");
      await by.choose(id(page, "acts-cursor"), radio(page, /^Follows the choice/));
      await see(page, "Cursor follows the choice for GitHub again.");
    },
  },
  "test, pause, resume, rename": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-tickets"));
      await by.press(id(page, "test"));
      await see(page, "It answers as it should");
      await by.press(id(page, "pause"));
      await see(page, /You paused this server/);
      await by.press(id(page, "pause"));
      await see(page, "Acme Tickets is open again.");
      await by.press(button(page, "Rename…"));
      await by.write(page.getByLabel("New name"), "Tickets");
      await by.press(page.getByTestId("ask-sheet").getByRole("button", { name: "Rename" }));
      await page.getByRole("heading", { name: "Tickets", exact: true }).waitFor();
    },
  },
  "rename and remove an account": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-github"));
      await by.choose(button(page, "More for ana@home.example"), item(page, "Rename…"));
      await by.write(page.getByLabel("New name"), "ana-home");
      await by.press(page.getByTestId("ask-sheet").getByRole("button", { name: "Rename" }));
      await by.choose(button(page, "More for ana-home"), item(page, "Remove everywhere…"));
      await see(page, /This account is signed out of/);
      await by.press(id(page, "confirm"));
      await see(page, /signed out\.$/);
      await page.getByText("ana-home").first().waitFor({ state: "hidden" });
    },
  },
  "sign out and remove": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-tickets"));
      await by.press(id(page, "sign-out"));
      await see(page, "Sign out of Acme Tickets?");
      await by.press(id(page, "confirm"));
      await see(page, "1 account signed out.");
      await by.press(id(page, "remove"));
      await by.press(button(page, "Cancel"));
      await page.getByRole("heading", { name: "Acme Tickets" }).waitFor();
      await by.press(id(page, "remove"));
      await by.press(id(page, "confirm"));
      await see(page, "Acme Tickets is removed.");
      await page.getByTestId("server-tickets").waitFor({ state: "hidden" });
    },
  },
  "profiles: save, use, undo, delete": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.choose(id(page, "profile"), radio(page, "Home"));
      await see(page, "Profile Home is in use: 1 server switched.");
      await page.getByTestId("accounts-github").getByText("ana@home.example").waitFor();
      await by.press(button(page, "Undo"));
      await see(page, "Profile Work is in use: 1 server switched.");
      await by.choose(id(page, "profile"), item(page, /^Save this choice/));
      await by.write(page.getByLabel(/^Name, such as/), "Travel");
      await by.press(button(page, "Save"));
      await see(page, "Profile Travel is saved.");
      await by.choose(id(page, "profile"), item(page, "Change Home…"));
      await by.press(id(page, "profile-delete"));
      await by.press(id(page, "confirm"));
      await see(page, "Profile Home is deleted.");
    },
  },
  "change whom a profile chooses": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.choose(id(page, "profile"), item(page, "Change Work…"));
      await see(page, "Change the profile Work");
      await by.pick(id(page, "profile-at-github"), "ana@home.example");
      await by.pick(id(page, "profile-at-tickets"), "nobody");
      await by.press(id(page, "profile-save"));
      await see(page, "Profile Work is changed.");
      // Who acts now stays; the profile is not the choice in force any more.
      await page.getByTestId("accounts-github").getByText("ana-work").waitFor();
      expect((await calls(page, "change_profile")) === 2, "each change is one request");
      expect((await calls(page, "use_account")) === 0, "somebody was switched");
      await by.choose(id(page, "profile"), radio(page, "Work"));
      await see(page, "Profile Work is in use: 2 servers switched.");
      await page.getByTestId("accounts-github").getByText("ana@home.example").waitFor();
    },
  },
  "a closed server says why": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-random"));
      await see(page, "The list Acme dev tools closed this server.");
      await see(page, /it kept tokens in its logs/);
      expect((await page.getByTestId("sign-in-random").count()) === 0, "a closed server offers a sign-in");
    },
  },
  "the agent is killed under the window and started again": {
    at: "scene=servers&pace=0",
    async play(page, by) {
      await id(page, "server-github").waitFor();
      await fake(page, "kill");
      await see(page, "The agent has stopped. What you see may be out of date.");
      await by.choose(id(page, "accounts-github"), radio(page, /ana@home/));
      await see(page, "The Hallpass agent is not running.");
      await by.press(button(page, "Dismiss"));
      await by.press(id(page, "start-agent"));
      await see(page, "Running");
      await page.getByTestId("accounts-github").getByText("ana-work").waitFor();
    },
  },
  "start the agent": {
    at: "scene=stopped&pace=0",
    async play(page, by) {
      await by.press(id(page, "start-agent"));
      await see(page, "No servers yet");
    },
  },
  "a full disk is said and nothing is shown as done": {
    at: "scene=disk-full&pace=0",
    async play(page, by) {
      await by.choose(id(page, "accounts-github"), radio(page, /ana@home/));
      await see(page, /no space left on device/);
      await page.getByTestId("accounts-github").getByText("ana-work").waitFor();
      await by.press(button(page, "Dismiss"));
      await by.press(id(page, "tab-settings"));
      await by.tick(id(page, "start-at-login"));
      await see(page, /no space left on device/);
      expect(!(await id(page, "start-at-login").isChecked()), "a setting that was not kept is shown as kept");
    },
  },
  "find a server among five hundred": {
    at: "scene=many&pace=0",
    async play(page, by) {
      await see(page, "60 of 500 servers");
      await by.write(id(page, "paste-box"), "server 417");
      await id(page, "server-server-417").waitFor();
      expect((await page.locator("[data-row]").count()) === 1, "more than one server is called so");
      await by.choose(id(page, "accounts-server-417"), radio(page, /^person3@/));
      await see(page, "Server 417 now acts as person3@team417.example.");
    },
  },
  ...flowsOfApps,
  ...flowsOfTokens,
};
