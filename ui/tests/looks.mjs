// What must hold in every view and state, light and dark: axe finds nothing, 320 px are wide enough, the console is quiet.
import AxeBuilder from "@axe-core/playwright";
import { expect } from "./stage.mjs";
import { arrive, views } from "./views.mjs";

/** One task for each view; `select` may leave some out. */
export function looks(stage, tally, select = () => true) {
  const tasks = views.filter(select).map((view) => () => look(stage, tally, view));
  return [...tasks, () => axeCanFail(stage, tally), ...["hostile", "servers"].flatMap((scene) => [() => forced(stage, tally, scene), () => zoomed(stage, tally, scene)])];
}

async function look(stage, tally, view) {
  const { name } = view;
  let opened;
  await tally.check(`${name}: is reached`, async () => {
    opened = await arrive(stage, view);
  });
  if (opened === undefined) return;
  const { page, complaints, end } = opened;
  await tally.check(`${name}, light: axe finds no violation`, () => axe(page));
  await tally.check(`${name}, dark: axe finds no violation`, async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await colours(page);
  });
  await tally.check(`${name}: nothing overflows at 320 px`, async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    const wide = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll("dialog .body")].map((one) => one.scrollWidth)));
    expect(wide <= 320, `the page is ${wide} px wide`);
  });
  await tally.check(`${name}: the console is quiet under the window's content security policy`, async () => {
    expect(complaints.length === 0, complaints.join("; "));
  });
  await end();
}

async function axe(page) {
  // What follows from sizes, such as a region that scrolls, is known one frame after it was drawn.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  // "Legacy" is without a helper page for frames of other origins; the window has no frames, and it is twice as fast.
  const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
  clean(violations);
}

/** The rules that look at colours, once all rules have been there: a scheme changes nothing else. */
async function colours(page) {
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["color-contrast", "link-in-text-block"] }));
  expect(passes.some((one) => one.id === "color-contrast"), "no colour was looked at");
  clean(violations);
}

function clean(violations) {
  expect(violations.length === 0, violations.map((violation) => `${violation.id}: ${violation.help} (${violation.nodes[0]?.html.slice(0, 300)})`).join("; "));
}

// A check that cannot fail is no check.
async function axeCanFail(stage, tally) {
  await tally.check("axe finds a planted violation", async () => {
    const context = await stage.browser.newContext();
    const page = await context.newPage();
    await page.setContent('<html lang="en"><title>x</title><style>@media (prefers-color-scheme: dark) { body { background: #000; color: #333 } }</style><main><h1>x</h1><img src="x.png"></main></html>');
    const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
    expect(violations.some((violation) => violation.id === "image-alt"), "an image without a text alternative went unnoticed");
    await page.emulateMedia({ colorScheme: "dark" });
    const noticed = await colours(page).then(() => false, () => true);
    await context.close();
    expect(noticed, "grey on black in the dark alone went unnoticed");
  });
}

/** Forced colours and more contrast: the words that carry the state are still there, and axe has nothing to say. */
async function forced(stage, tally, scene) {
  for (const options of [{ forcedColors: "active" }, { contrast: "more" }]) {
    await tally.check(`${scene}, ${JSON.stringify(options)}: axe finds no violation`, async () => {
      const { page, end } = await stage.page(`scene=${scene}`, options);
      await page.getByText("Connected", { exact: true }).first().waitFor();
      await axe(page);
      await end();
    });
  }
}

/** 200 %: half the room for twice the size. */
async function zoomed(stage, tally, scene) {
  await tally.check(`${scene}: nothing overflows at 200 %`, async () => {
    const { page, end } = await stage.page(`scene=${scene}`, { viewport: { width: 640, height: 480 }, deviceScaleFactor: 2 });
    await page.getByText("Connected", { exact: true }).first().waitFor();
    expect((await page.evaluate(() => document.documentElement.scrollWidth)) <= 640, "the page is wider than the window");
    await end();
  });
}
