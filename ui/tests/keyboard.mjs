// A person with a keyboard alone: Tab, arrows, Enter, Space and Esc. This file may name no way of a pointer, nor may the
// flows; browser.mjs looks for them.

/** Presses, writes and ticks by walking to the control first. Fails where no key leads there. */
export function keyboard(page) {
  const key = (name) => page.keyboard.press(name);

  /** Walks to a control: along a menu or a list by arrows, else by Tab. */
  async function walk(target) {
    const element = await target.first().elementHandle();
    for (let steps = 0; steps < FAR; steps += 1) {
      const next = await element.evaluate(towards);
      if (next === "here") return;
      await key(next);
    }
    throw new Error(`no key leads to ${target}`);
  }

  return {
    name: "keyboard",
    async press(target) {
      await walk(target);
      await key("Enter");
    },
    async tick(target) {
      await walk(target);
      await key("Space");
    },
    async write(target, text) {
      await walk(target);
      await key("Control+A");
      await page.keyboard.insertText(text);
    },
    async pick(list, label) {
      await walk(list);
      await page.keyboard.type(label);
    },
    async choose(menu, item) {
      await walk(menu);
      await key("Enter");
      await walk(item);
      await key("Enter");
    },
  };
}

/** Runs in the page: the key that leads from where the focus is to the element. */
function towards(target) {
  const here = document.activeElement;
  if (here === target) return "here";
  if (target.closest("[role=menu]") !== null) return "ArrowDown";
  if (target instanceof HTMLInputElement && target.type === "radio" && here instanceof HTMLInputElement && here.name === target.name) return "ArrowRight";
  const row = here?.closest("[data-row]") ?? null;
  const wanted = target.closest("[data-row]");
  if (row !== null && wanted !== null && here.closest("[role=menu]") === null) {
    if (row === wanted) {
      const cells = [...row.querySelectorAll("[data-cell]")];
      return cells.indexOf(here) < cells.indexOf(target) ? "ArrowRight" : "ArrowLeft";
    }
    const list = [...document.querySelectorAll("[data-row]")];
    return list.indexOf(row) < list.indexOf(wanted) ? "ArrowDown" : "ArrowUp";
  }
  return "Tab";
}

/** So many keys at most to one control. */
const FAR = 120;
