// Every view and state: how to get there, and a text that proves one is there. Used by the axe checks and the screenshots.

const wide = "pace=0&browser=never";
const tab = (name) => (page) => page.getByTestId(`tab-${name}`).click();
const then = (...steps) => async (page) => {
  for (const step of steps) await step(page);
};
const click = (id) => (page) => page.getByTestId(id).first().click();
const press = (name) => (page) => page.getByRole("button", { name, exact: true }).first().click();
const add = (text) => async (page) => {
  await page.getByTestId("paste-box").fill(text);
  await page.getByTestId("add-button").click();
};
const SNIPPET = JSON.stringify({ mcpServers: { metrics: { url: "https://metrics.acme.example/mcp", headers: { Authorization: "Bearer x" } }, local: { command: "x" }, notes: { url: "https://notes.acme.example/mcp" } } });

/** name, scene, words on it, and how to get there. Those with `dark` get a dark picture too; axe looks at all of them in both. */
export const views = [
  { name: "servers", dark: true, scene: "servers", words: "Acme Tickets" },
  { name: "servers-empty", dark: true, scene: "empty", words: "No servers yet" },
  { name: "servers-first-run", scene: "first-run", words: "See what was found" },
  { name: "servers-needs-sign-in", scene: "needs-sign-in", words: "Needs sign-in" },
  { name: "servers-offline", scene: "offline", words: "Unreachable" },
  { name: "servers-hostile", dark: true, scene: "hostile", words: "<script>alert(1)</script>" },
  { name: "servers-many", scene: "many", words: "60 of 500 servers" },
  { name: "servers-find-nothing", scene: "servers", words: "No server is called “zebra”.", go: (page) => page.getByTestId("paste-box").fill("zebra") },
  { name: "servers-menu", scene: "servers", words: "ana@home.example", go: click("accounts-github") },
  { name: "servers-switched", scene: "servers", words: "GitHub now acts as ana@home.example.", go: then(click("accounts-github"), (page) => page.getByRole("menuitemradio", { name: /ana@home/ }).click()) },
  { name: "servers-switching", scene: "switching", words: "Switching" },
  { name: "profile-menu", scene: "servers", words: "Save this choice as a profile…", go: click("profile") },
  { name: "profile-new", scene: "servers", words: "It remembers which account each server uses now.", go: then(click("profile"), (page) => page.getByRole("menuitem", { name: /Save this/ }).click()) },
  { name: "profile-change", scene: "servers", words: "Change the profile Work", go: then(click("profile"), (page) => page.getByRole("menuitem", { name: "Change Work…" }).click()) },
  { name: "add-too-long", scene: "servers", words: /^That is 2\.0 MB of text/, go: add("x".repeat(2 * 1024 * 1024)) },
  { name: "agent-looking", scene: "slow", words: "Looking for the agent…" },
  { name: "agent-stopped", dark: true, scene: "stopped", words: "Start the agent" },
  { name: "agent-starting", scene: "starting", words: "Starting the agent…" },
  { name: "agent-incompatible", scene: "incompatible", words: "The agent does not answer as it should" },
  { name: "agent-trouble", scene: "broken", words: "The state file is from a newer Hallpass." },
  { name: "agent-killed", dark: true, scene: "servers", words: "The agent has stopped. What you see may be out of date.", go: then((page) => page.getByText("Acme Tickets").waitFor(), (page) => page.evaluate(() => globalThis.hallpass_fake.kill())) },
  { name: "keychain-locked", scene: "keychain-locked", words: /Your keychain/ },
  { name: "keychain-absent", scene: "keychain-absent", words: /No keychain was found/ },
  { name: "unsaved", scene: "unsaved", words: /could not be saved yet/ },
  { name: "disk-full", scene: "disk-full", words: /no space left on device/, go: then(click("accounts-github"), (page) => page.getByRole("menuitemradio", { name: /ana@home/ }).click()) },
  { name: "server-detail", dark: true, scene: "servers", words: "Who acts as whom", go: click("server-github") },
  { name: "server-tested", scene: "servers", words: "It answers as it should", go: then(click("server-tickets"), click("test")) },
  { name: "server-blocked", scene: "servers", words: "The list Acme dev tools closed this server.", go: click("server-random") },
  { name: "server-needs-sign-in", scene: "servers", words: /must sign in again/, go: click("server-linear") },
  { name: "server-nobody", scene: "servers", words: "Nobody is signed in", go: click("server-billing") },
  { name: "server-hostile", scene: "hostile", words: "What went wrong", go: click("server-path") },
  { name: "server-remove", scene: "servers", words: "Remove GitHub?", go: then(click("server-github"), click("remove")) },
  { name: "server-sign-out", scene: "servers", words: /is signed out of Acme Tickets/, go: then(click("server-tickets"), click("sign-out")) },
  { name: "add-url", dark: true, scene: "servers", words: "Read as a URL.", go: add("https://metrics.acme.example/mcp") },
  { name: "add-snippet-with-secret", scene: "servers", words: "Choose what to add", go: add(SNIPPET) },
  { name: "add-nonsense", scene: "servers", words: "Nothing to add was found", go: add('{"mcpServers": {') },
  { name: "add-unreachable", scene: "servers", words: /down.example cannot be reached/, go: then(add("https://down.example/mcp"), click("add-and-sign-in")) },
  { name: "sign-in-waiting", dark: true, scene: "servers", words: "Waiting for your browser", go: click("sign-in-linear") },
  { name: "sign-in-paste", scene: "servers", words: "Address of the last page in the browser", go: then(click("sign-in-linear"), press("Paste the address…")) },
  { name: "sign-in-confirm", dark: true, scene: "servers", words: "Use this account?", go: click("sign-in-billing"), query: "pace=0&browser=0" },
  { name: "sign-in-done", dark: true, scene: "servers", words: "Signed in as ben@acme.example", go: then(click("sign-in-billing"), click("confirm-yes")), query: "pace=0&browser=0" },
  { name: "sign-in-same-person", scene: "unverified", words: /Is this still home notes/, go: click("sign-in-notion"), query: "pace=0&browser=0" },
  { name: "sign-in-wrong-person", scene: "wrong-person", words: "Another person than expected came back", go: click("sign-in-linear"), query: "pace=0&browser=0" },
  { name: "sign-in-offline", scene: "offline", words: "Not signed in", go: then(click("server-billing"), click("sign-in-billing")) },
  { name: "sign-in-reopened", scene: "signing-in", words: "Waiting for your browser" },
  { name: "servers-tokens", dark: true, scene: "tokens", words: "Revoked by server" },
  { name: "server-tokens", scene: "tokens", words: "revoked by server: it refuses the pasted token", go: click("server-code") },
  { name: "sign-in-token", dark: true, scene: "tokens", words: "Personal token", go: click("sign-in-builds") },
  { name: "sign-in-token-refused", scene: "tokens", words: "Not signed in", go: then(click("sign-in-builds"), (page) => page.getByTestId("token").fill("xxx"), click("keep-token")) },
  { name: "sign-in-device", dark: true, scene: "company", words: "WDJB-MJHT", go: then(click("server-robot"), click("sign-in-device")) },
  { name: "sign-in-device-refused", scene: "servers", words: /does not offer signing in on another device/, go: then(click("server-linear"), click("sign-in-device")) },
  { name: "sign-in-application", scene: "company", words: /not a person\. It acts only where/, go: then(click("server-robot"), click("sign-in-application")) },
  { name: "sign-in-parked", scene: "parked", words: "Going on with the sign-in that was begun 1 min ago." },
  { name: "server-identity-provider", scene: "company", words: /It vouches for them at Payroll/, go: click("server-acme") },
  { name: "add-vouched", scene: "company", words: "How people are known there", go: then(add("https://metrics.acme.example/mcp"), (page) => page.getByText("More options").click()) },
  { name: "import-choose", dark: true, scene: "first-run", words: "5 servers found in 3 apps. Nothing has changed yet.", go: click("import-found") },
  { name: "import-review", scene: "first-run", words: /These files would change/, go: then(click("import-found"), click("import-go")) },
  { name: "import-sign-in", scene: "first-run", words: /Sign in to each, one at a time/, go: then(click("import-found"), click("import-go"), click("import-apply-cursor"), click("import-to-sign-in")) },
  { name: "apps", dark: true, scene: "servers", words: "Claude Desktop", go: tab("apps") },
  { name: "apps-empty", scene: "empty", words: /No app that Hallpass knows/, go: tab("apps") },
  { name: "apps-hostile", scene: "hostile", words: "1 secret in plain text", go: tab("apps") },
  { name: "apps-connect", dark: true, scene: "servers", words: "Every change, line by line", go: then(tab("apps"), click("connect-codex")) },
  { name: "apps-restore", scene: "servers", words: /back into the file in plain text/, go: then(tab("apps"), click("restore-cursor")) },
  { name: "apps-changed-outside", scene: "changed-outside", words: /Another program changed the file meanwhile/, go: then(tab("apps"), click("connect-codex"), click("apply")) },
  { name: "presets", dark: true, scene: "presets", words: "A newer version waits for your yes.", go: tab("presets") },
  { name: "presets-empty", scene: "one", words: "Subscribe to a list", go: tab("presets") },
  { name: "presets-subscribe", scene: "presets", words: "Publisher’s key", go: then(tab("presets"), click("subscribe")) },
  { name: "presets-plan", dark: true, scene: "presets", words: /Compare these eight words/, go: then(tab("presets"), click("review-com.acme/data")) },
  { name: "presets-unverified", scene: "presets", words: /This list is not signed/, go: then(tab("presets"), click("subscribe"), (page) => page.getByTestId("list-source").fill("/home/ana/team.mcpreset"), click("list-fetch")) },
  { name: "settings", scene: "no-tray", words: "Start when I log in, without a window", go: tab("settings") },
  { name: "settings-health", dark: true, scene: "servers", words: /problem found/, go: then(tab("settings"), click("doctor")) },
  { name: "keys", scene: "servers", words: "Undo the last switch", go: then((page) => page.getByText("Acme Tickets").waitFor(), (page) => page.keyboard.press("?")) },
].map((view) => ({ query: wide, dark: false, ...view }));

/** Opens a view and waits until it is there. */
export async function arrive(stage, view, options) {
  const opened = await stage.page(`scene=${view.scene}&${view.query}`, options);
  await view.go?.(opened.page);
  const words = typeof view.words === "string" ? opened.page.getByText(view.words, { exact: true }) : opened.page.getByText(view.words);
  await words.first().waitFor();
  return opened;
}
