// Pictures of every view and state into the folder that the first argument names: all of them light, the main ones dark.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { shrink } from "./png.mjs";
import { openStage, together } from "./stage.mjs";
import { arrive, views } from "./views.mjs";

const [folder, ...only] = process.argv.slice(2);
if (folder === undefined) {
  console.error("screenshots.mjs wants the folder to write to");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
if (only.length === 0) {
  for (const old of readdirSync(folder).filter((name) => name.endsWith(".png"))) {
    rmSync(join(folder, old));
  }
}
const stage = await openStage();
const wanted = views.filter((view) => only.length === 0 || only.includes(view.name));
const jobs = wanted.flatMap((view) => (view.dark ? ["light", "dark"] : ["light"]).map((colorScheme) => ({ view, colorScheme })));
let bytes = 0;
await together(
  jobs.map(({ view, colorScheme }) => async () => {
    // One moment for all, so that a picture changes only when the view does.
    const { page, end } = await arrive(stage, view, { colorScheme, now: new Date("2026-11-21T12:01:12Z") });
    await page.mouse.move(0, 0);
    const picture = shrink(await page.screenshot({ animations: "disabled", caret: "hide" }));
    bytes += picture.length;
    writeFileSync(join(folder, `${view.name}${colorScheme === "dark" ? "-dark" : ""}.png`), picture);
    await end();
  }),
);
await stage.close();
console.log(`${jobs.length} pictures, ${Math.round(bytes / 1024)} KiB, in ${folder}`);
