// The flows of personal tokens: pasted, refused, revoked, forgotten. What was typed stays nowhere.
import { expect } from "./stage.mjs";

const SECRET = "ana-4f9c2d71c0ffee0123456789abcdef";

// As in flows_apps.mjs: not imported from flows.mjs, which imports this file.
const id = (page, name) => page.getByTestId(name).first();
const button = (page, name) => page.getByRole("button", { name, exact: true }).first();
const see = (page, words) => (typeof words === "string" ? page.getByText(words, { exact: true }) : page.getByText(words)).first().waitFor();
const calls = (page, verb) => page.evaluate((name) => globalThis.hallpass_fake.calls[name] ?? 0, verb);

/** Neither what is shown, nor a field, nor what is kept holds it. */
const gone = async (page, secret) => {
  const everywhere = await page.evaluate(() => {
    const typed = [...document.querySelectorAll("input, textarea")].map((one) => one.value);
    const kept = [JSON.stringify(globalThis.hallpass_fake.world), ...Object.values(localStorage), ...Object.values(sessionStorage)];
    return [document.documentElement.outerHTML, location.href, ...typed, ...kept].join("\n");
  });
  expect(!everywhere.includes(secret), "the token is still there");
  expect(everywhere.length > 1000, "nothing was looked at");
};

export const flowsOfTokens = {
  "paste a personal token": {
    at: "scene=tokens&pace=0",
    async play(page, by) {
      await by.press(id(page, "sign-in-builds"));
      await see(page, "Personal token");
      const field = id(page, "token");
      expect((await field.getAttribute("type")) === "password" && (await field.getAttribute("autocomplete")) === "off", "it can be read on the screen");
      await by.write(field, SECRET);
      await by.press(id(page, "keep-token"));
      await see(page, "Builds says that this token is of ana.");
      await see(page, "named by the server’s own whoami tool alone");
      await gone(page, SECRET);
      await by.press(id(page, "confirm-yes"));
      await see(page, "It is a pasted token: only you can renew or revoke it, at the server where you made it.");
      await by.press(id(page, "sheet-done"));
      await page.locator("[data-row=builds]").getByText("Connected").waitFor();
      expect((await calls(page, "begin_sign_in")) === 1, "it went through one call");
      await gone(page, SECRET);
    },
  },
  "a placeholder and a refused token are not kept": {
    at: "scene=tokens&pace=0",
    async play(page, by) {
      await by.press(id(page, "sign-in-builds"));
      await by.write(id(page, "token"), "<YOUR_TOKEN>");
      await by.press(id(page, "keep-token"));
      await see(page, "That is a placeholder out of some documentation, and no token.");
      await by.press(id(page, "retry"));
      expect((await id(page, "token").inputValue()) === "", "the field remembers");
      await by.write(id(page, "token"), "ana-revoked-0123456789");
      await by.press(id(page, "keep-token"));
      await see(page, /it refuses the token; nothing was kept/);
      await see(page, "Make a token at the server, then paste it here: choose the server on the page Servers, then sign in.");
      await by.press(button(page, "Close"));
      await page.locator("[data-row=builds]").getByText("Signed out").waitFor();
    },
  },
  "a token that was revoked is replaced by the same person's": {
    at: "scene=tokens&pace=0",
    async play(page, by) {
      await page.locator("[data-row=code]").getByText("Revoked by server").waitFor();
      await by.press(id(page, "server-code"));
      await see(page, "revoked by server: it refuses the pasted token");
      await see(page, /^pasted token, ends soon/);
      await by.press(button(page, "Paste a new token"));
      await by.write(id(page, "token"), "ben-0123456789abcdef");
      await by.press(id(page, "keep-token"));
      await see(page, "Another person than expected came back");
      await by.press(id(page, "retry"));
      await by.write(id(page, "token"), SECRET);
      await by.press(id(page, "keep-token"));
      await see(page, "Signed in as ana");
      await gone(page, SECRET);
      await by.press(id(page, "sheet-done"));
      await see(page, "Connected");
    },
  },
  "a token in place of the browser": {
    at: "scene=servers&pace=0&browser=never",
    async play(page, by) {
      await by.press(id(page, "sign-in-billing"));
      await see(page, "Waiting for your browser");
      await by.press(id(page, "use-token"));
      expect((await calls(page, "cancel_sign_in")) === 1, "the browser is still waited for");
      await by.write(id(page, "token"), SECRET);
          await by.press(id(page, "keep-token"));
      await by.press(id(page, "confirm-yes"));
      await see(page, "Signed in as ana");
      await gone(page, SECRET);
    },
  },
  "sign a pasted token out": {
    at: "scene=tokens&pace=0",
    async play(page, by) {
      await by.press(id(page, "server-plans"));
      await by.press(id(page, "sign-out"));
      await by.press(button(page, "Sign out"));
      await see(page, /1 pasted token is forgotten here and still works: delete it at the server\./);
    },
  },
  "add a server that takes tokens": {
    at: "scene=empty&pace=0",
    async play(page, by) {
      await by.write(id(page, "paste-box"), "https://code.acme.example/mcp");
      await by.press(id(page, "add-button"));
      await see(page, "Read as a URL.");
      await by.press(page.getByText("More options", { exact: true }));
      await by.tick(page.getByRole("checkbox", { name: "People use a personal token there" }));
      await by.write(page.getByLabel("Tool that says who is signed in"), "get_me:id");
      await by.press(id(page, "add-and-sign-in"));
      await id(page, "token").waitFor();
      await by.press(button(page, "Cancel"));
      await id(page, "server-code").waitFor();
    },
  },
};
