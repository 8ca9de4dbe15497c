// Sorts the table: by numbers where a cell has one, rows without a value last.
"use strict";
(function () {
  const table = document.getElementById("images");
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const told = document.getElementById("told");

  function compare(one, other, isNumber) {
    if (one === "" || other === "") {
      return { isLast: true, order: Number(one === "") - Number(other === "") };
    }
    const order = isNumber
      ? parseNumber(one) - parseNumber(other)
      : one.localeCompare(other, "en", { numeric: true });
    return { isLast: false, order: Number.isNaN(order) ? 0 : order };
  }

  function parseNumber(text) {
    return text === "inf" ? Infinity : Number(text);
  }

  function sortBy(column) {
    const head = heads[column];
    const isDown = head.getAttribute("aria-sort") === "ascending";
    const isNumber = head.classList.contains("number");
    const sign = isDown ? -1 : 1;
    const rows = Array.from(body.rows, (row) => ({
      row, value: row.cells[column].dataset.value,
    }));
    rows.sort((one, other) => {
      const found = compare(one.value, other.value, isNumber);
      return found.isLast ? found.order : sign * found.order;
    });
    for (const each of heads) {
      each.removeAttribute("aria-sort");
    }
    head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    body.append(...rows.map((each) => each.row));
    const name = head.querySelector("button").textContent;
    told.textContent = `Sorted by ${name}, ${isDown ? "descending" : "ascending"}.`;
  }

  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (button) {
      button.addEventListener("click", () => sortBy(column));
    }
  });
})();
