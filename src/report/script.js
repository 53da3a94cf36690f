"use strict";
// Tables: a click on a heading sorts, "copy" puts the table on the clipboard as tab-separated values with all digits.
const value = (cell) => cell.dataset.v ?? cell.textContent;

function sort(heading) {
  const table = heading.closest("table");
  const column = [...heading.parentNode.children].indexOf(heading);
  const numeric = heading.classList.contains("num");
  const now = heading.getAttribute("aria-sort");
  const descending = numeric ? now !== "descending" : now === "ascending";
  const compare = (a, b) => {
    const [x, y] = [a, b].map((row) => value(row.children[column]));
    // Rows without a value stay at the end.
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = numeric ? x - y : x.localeCompare(y, undefined, { numeric: true });
    return descending ? -order : order;
  };
  const rows = [...table.tBodies[0].rows].sort(compare);
  table.tBodies[0].append(...rows);
  for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

async function copy(button) {
  const table = button.closest(".table").querySelector("table");
  const lines = [...table.rows].filter((row) => !row.classList.contains("groups"));
  const cell = (c) => c.dataset.name ?? value(c);
  const text = lines.map((row) => [...row.cells].map(cell).join("\t")).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    button.textContent = "not allowed here";
  }
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("copy")) copy(button);
  else sort(button.closest("th"));
});
