for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const collator = new Intl.Collator(undefined, { numeric: true });
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const compare = (one, other) => {
        const [a, b] = [one.cells[column], other.cells[column]];
        const [x, y] = [a.textContent, b.textContent];
        if (!x || !y) return !x - !y; // blank cells stay last
        const [v, w] = [a.dataset.value, b.dataset.value];
        return sign * (v && w ? v - w : collator.compare(x, y));
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
