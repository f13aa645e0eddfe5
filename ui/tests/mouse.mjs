// A person with a mouse.

/** Presses, writes and ticks as one does with a mouse; writing needs the keyboard here too. */
export function mouse(page) {
  return {
    name: "mouse",
    press: (target) => target.click(),
    tick: (target) => target.click(),
    async write(target, text) {
      await target.click();
      await page.keyboard.press("Control+A");
      await page.keyboard.insertText(text);
    },
    /** Chromium draws a list of choices outside the page, where nothing of a test reaches. */
    pick: (list, label) => list.selectOption({ label }),
    /** Opens a menu and takes an item of it. */
    async choose(menu, item) {
      await menu.click();
      await item.click();
    },
  };
}
