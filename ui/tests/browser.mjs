// The built UI on the fake host in a real Chromium: every view and state with axe, every flow by mouse and again by the
// keyboard alone. An argument runs only what has it in its name.
import { readFileSync } from "node:fs";
import { flows } from "./flows.mjs";
import { keyboard } from "./keyboard.mjs";
import { looks } from "./looks.mjs";
import { mouse } from "./mouse.mjs";
import { keys, world } from "./own.mjs";
import { expect, openStage, Tally, together } from "./stage.mjs";

const only = process.argv[2];
const tally = new Tally();
const stage = await openStage().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

const wanted = (name) => only === undefined || name.includes(only);
const tasks = Object.entries(flows).flatMap(([name, flow]) => [mouse, keyboard].map((person) => [`${name}, by ${person.name}`, () => play(flow, person)]));
tasks.push(...Object.entries({ ...keys, ...world }).map(([name, body]) => [name, () => body(stage)]));
const chosen = tasks.filter(([name]) => wanted(name)).map(([name, body]) => () => tally.check(name, body));
await together([...chosen, ...looks(stage, tally, (view) => wanted(view.name))]);
if (only === undefined) {
  await tally.check("the keyboard's flows use no pointer", pointerless);
}
await stage.close();

for (const problem of tally.problems) {
  console.error(`FAILED ${problem}`);
}
console.log(`${tally.passed} passed, ${tally.problems.length} failed`);
process.exitCode = tally.problems.length === 0 ? 0 : 1;

/** One flow, and a console that stays quiet. */
async function play(flow, person) {
  const { page, complaints, end } = await stage.page(flow.at);
  try {
    await flow.play(page, person(page));
    expect(complaints.length === 0, complaints.join("; "));
  } finally {
    await end();
  }
}

/** The files that the keyboard's flows are made of press keys and do nothing else; a planted click would be found. */
async function pointerless() {
  const pointer = /\.(click|dblclick|tap|hover|check|uncheck|setChecked|selectOption|dragTo|dispatchEvent|fill|focus)\(|\.mouse\b|\.touchscreen\b/;
  expect(pointer.test('page.getByText("x").click()'), "the check does not find a click");
  for (const file of ["keyboard.mjs", "flows.mjs", "flows_apps.mjs", "flows_tokens.mjs"]) {
    const found = readFileSync(new URL(file, import.meta.url), "utf8").match(pointer);
    expect(found === null, `${file} says ${found?.[0]}`);
  }
}
