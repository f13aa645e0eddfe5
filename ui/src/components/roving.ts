// Arrow keys in a list: up and down from row to row, left and right along a row's controls. One Tab stop for the whole list.

/** Moves the focus inside `list` at a key. The rows carry `data-row`, their controls `data-cell`, the first `data-first`. */
export function rove(list: HTMLElement, event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || !(event.target instanceof HTMLElement)) {
    return;
  }
  const row = event.target.closest<HTMLElement>("[data-row]");
  if (row === null || event.target.closest("[role=menu], input, textarea, select") !== null) {
    return;
  }
  const rows = [...list.querySelectorAll<HTMLElement>("[data-row]")];
  const cells = [...row.querySelectorAll<HTMLElement>("[data-cell]")];
  const at = rows.indexOf(row);
  const cell = cells.indexOf(event.target);
  const rtl = getComputedStyle(list).direction === "rtl";
  const to = ((): HTMLElement | undefined => {
    switch (event.key) {
      case "ArrowDown":
        return first(rows[at + 1]);
      case "ArrowUp":
        return first(rows[at - 1]);
      case "Home":
        return first(rows[0]);
      case "End":
        return first(rows.at(-1));
      case "ArrowRight":
        return cells[cell + (rtl ? -1 : 1)];
      case "ArrowLeft":
        return cells[cell + (rtl ? 1 : -1)];
      default:
        return undefined;
    }
  })();
  if (to !== undefined) {
    event.preventDefault();
    to.focus();
  }
}

function first(row: HTMLElement | undefined): HTMLElement | undefined {
  return row?.querySelector<HTMLElement>("[data-first]") ?? undefined;
}
