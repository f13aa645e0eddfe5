// What only one kind of person does, or nobody: single keys, the tray's wishes, time that passes, speed.
import { expect } from "./stage.mjs";
import { tools } from "./flows.mjs";

const { id, see, fake, gone } = tools;
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute("data-testid") ?? document.activeElement?.tagName);

/** The keys of ux.md 2e. */
export const keys = {
  "keys: pages, box, help": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0");
    await id(page, "server-github").waitFor();
    for (const [key, heading] of [["2", "Apps"], ["3", "Presets"], ["4", "Settings"], ["1", "Servers"]]) {
      await page.keyboard.press(`Control+${key}`);
      await page.getByRole("heading", { name: heading, exact: true, level: 2 }).waitFor({ state: "attached" });
    }
    await page.keyboard.press("/");
    expect((await focused(page)) === "paste-box", "/ does not lead to the box");
    await page.keyboard.type("a?/");
    expect((await id(page, "paste-box").inputValue()) === "a?/", "keys are taken away from the box");
    await page.keyboard.press("Escape");
    expect((await id(page, "paste-box").inputValue()) === "", "Esc does not empty the box");
    await page.keyboard.press("Control+4");
    await see(page, "General");
    await page.keyboard.press("Control+n");
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-testid") === "paste-box");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("?");
    await see(page, "Undo the last switch");
    await page.keyboard.press("Escape");
    await gone(page, "Undo the last switch");
    await end();
  },
  "keys: rows, Enter, Esc, Del, and the focus comes back": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0");
    await id(page, "server-github").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.press("ArrowDown");
    expect((await focused(page)) === "server-linear", "the first row is not reached");
    await page.keyboard.press("End");
    const last = await focused(page);
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    expect((await focused(page)) === "server-wiki" && last === "server-crm", `Home and End lead elsewhere (${last})`);
    await page.keyboard.press("Delete");
    await see(page, "Remove Wiki?");
    await page.keyboard.press("Escape");
    await gone(page, "Remove Wiki?");
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-testid") === "server-wiki");
    await page.keyboard.press("ArrowRight");
    expect((await focused(page)) === "accounts-wiki", "→ does not lead along the row");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Wiki", exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await id(page, "paste-box").waitFor();
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-testid") === "server-wiki");
    await end();
  },
  "keys: a menu switches nobody until Enter, Ctrl+Z takes it back": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0");
    await id(page, "server-github").waitFor();
    await page.keyboard.press("/");
    for (let n = 0; n < 8 && (await focused(page)) !== "server-github"; n += 1) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Escape");
    expect((await page.evaluate(() => globalThis.hallpass_fake.calls["use_account"])) === undefined, "moving through the menu switched somebody");
    expect((await focused(page)) === "accounts-github", "the focus does not come back from the menu");
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await see(page, "GitHub now acts as ana@home.example.");
    await page.keyboard.press("Control+z");
    await see(page, "GitHub now acts as ana-work.");
    await end();
  },
};

/** What the rest of the world does. */
export const world = {
  "the tray opens a page, a server and a sign-in": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0&browser=never");
    await id(page, "server-github").waitFor();
    await fake(page, "show", { page: "settings" });
    await see(page, "General");
    await fake(page, "show", { page: "servers", server: "github" });
    await page.getByRole("heading", { name: "GitHub", exact: true }).waitFor();
    await fake(page, "show", { page: "sign_in", server: "linear" });
    await see(page, "Sign in to Linear again as ana@acme.example");
    await fake(page, "show", { page: "sign_in", server: "linear" });
    await see(page, "Waiting for your browser");
    expect((await page.evaluate(() => globalThis.hallpass_fake.calls["begin_sign_in"])) === 1, "a second wish began a second sign-in");
    await end();
  },
  "opened for a sign-in": async (stage) => {
    const { page, end } = await stage.page("scene=open&pace=0&browser=never");
    await see(page, "Sign in to Linear again as ana@acme.example");
    await end();
  },
  "a reopened window shows the sheet again": async (stage) => {
    const { page, end } = await stage.page("scene=signing-in&pace=0&browser=never");
    await see(page, "Waiting for your browser");
    await page.getByText(/^(8:5\d|9:00) left$/).waitFor();
    expect((await page.evaluate(() => globalThis.hallpass_fake.calls["begin_sign_in"])) === undefined, "a second sign-in was begun");
    await end();
  },
  "a switch elsewhere is shown at once": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0");
    await page.getByTestId("accounts-github").getByText("ana-work").waitFor();
    await fake(page, "switchTo", "github", "a-home");
    await page.getByTestId("accounts-github").getByText("ana@home.example").waitFor();
    await fake(page, "lapse", "tickets");
    await see(page, "2 servers need you to sign in.");
    await end();
  },
  "the countdown counts, and ends with a way out": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0&browser=never", { install: new Date("2026-11-21T12:00:00Z") });
    await page.clock.runFor(1000);
    await page.getByTestId("sign-in-linear").click();
    await page.clock.runFor(2000);
    await page.getByText(/^9:5\d left$/).waitFor();
    await page.clock.runFor(300_000);
    await page.getByText(/^4:5\d left$/).waitFor();
    await page.clock.runFor(250_000);
    await page.getByText("Time is nearly up. You can try again afterwards.").waitFor({ state: "attached" });
    await page.clock.runFor(60_000);
    await see(page, "Nobody came back from the browser in time.");
    await id(page, "retry").waitFor();
    await end();
  },
  "a sign-in ends with its agent": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0&browser=never");
    await id(page, "sign-in-linear").click();
    await see(page, "Waiting for your browser");
    await fake(page, "kill");
    await page.getByText("The agent has stopped. What you see may be out of date.").waitFor({ state: "attached" });
    await fake(page, "revive");
    await see(page, "Not signed in");
    await see(page, "The agent ended while this sign-in was under way; nothing was changed.");
    await id(page, "retry").click();
    await see(page, "Waiting for your browser");
    await end();
  },
  "a paste that is far too long stops at the box": async (stage) => {
    const { page, end } = await stage.page("scene=servers&pace=0");
    await id(page, "server-github").waitFor();
    const taken = await page.evaluate(() => {
      const box = document.querySelector("[data-box]");
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", "secret ".repeat(1_300_000));
      return box.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
    });
    expect(!taken, "9 MB reach the box");
    await see(page, /^That is 8\.7 MB of text/);
    expect((await id(page, "paste-box").inputValue()) === "", "9 MB are in the box");
    expect((await page.evaluate(() => globalThis.hallpass_fake.calls["read_paste"])) === undefined, "9 MB went to the agent");
    await page.keyboard.press("/");
    await page.keyboard.insertText("https://metrics.acme.example/mcp");
    await page.keyboard.press("Enter");
    await see(page, "Read as a URL.");
    await end();
  },
  "500 servers with 20 accounts each stay quick": async (stage) => {
    const { page, end } = await stage.page("scene=many&pace=0");
    await see(page, "60 of 500 servers");
    const times = await page.evaluate(async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const took = {};
      const measure = async (name, act, until) => {
        const began = performance.now();
        act();
        for (let n = 0; n < 500 && !until(); n += 1) await frame();
        took[name] = Math.round(performance.now() - began);
      };
      const shown = (id, words) => () => document.querySelector(`[data-testid="${id}"]`)?.textContent.includes(words) ?? false;
      await measure("change", () => globalThis.hallpass_fake.switchTo("server-5", "a-5-19"), shown("accounts-server-5", "person19@"));
      const box = document.querySelector("[data-box]");
      await measure("find", () => { box.value = "server 4"; box.dispatchEvent(new InputEvent("input", { bubbles: true })); }, () => document.querySelector('[data-testid="server-server-4"]') !== null && document.querySelector('[data-testid="server-server-5"]') === null);
      await measure("all", () => { box.value = ""; box.dispatchEvent(new InputEvent("input", { bubbles: true })); }, () => document.querySelector('[data-testid="server-server-5"]') !== null);
      await measure("menu", () => document.querySelector('[data-testid="accounts-server-5"]').click(), () => document.querySelectorAll("[role=menuitemradio]").length === 20);
      return took;
    });
    console.log(`500 servers x 20 accounts: a change is shown in ${times.change} ms, a name found in ${times.find} ms, the whole list back in ${times.all} ms, a menu of 20 in ${times.menu} ms`);
    await page.getByTestId("more-server-5").waitFor();
    expect((await page.locator("[data-row]").count()) < 200, "all rows are drawn at once");
    await end();
  },
};
