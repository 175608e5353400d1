"use strict";
document.documentElement.classList.add("js");
document.querySelectorAll("select[data-shows]").forEach((select) => {
  select.addEventListener("change", () => {
    document.querySelectorAll("[data-group='" + select.dataset.shows + "']").forEach((part) => {
      part.hidden = part.dataset.key !== select.value;
    });
  });
});
(() => {
  const source = document.getElementById("counts");
  const run = document.getElementById("count-run");
  const criterion = document.getElementById("count-criterion");
  if (!source || !run || !criterion) return;
  const { data, bins } = JSON.parse(source.textContent);
  const cells = [...document.querySelectorAll(".heat tbody tr")].map((row) => row.querySelectorAll("td"));
  const draw = () => {
    const table = (data[run.value] || {})[criterion.value];
    cells.forEach((row, day) => row.forEach((cell, hour) => {
      const value = table ? table[day][hour] : 0;
      const level = value <= 0 ? 0 : 1 + bins.slice(1).filter((edge) => value > edge).length;
      cell.textContent = value <= 0 ? "" : value >= 10 ? value.toFixed(0) : value.toFixed(1);
      cell.className = "k" + level;
    }));
    document.getElementById("count-none").hidden = Boolean(table);
  };
  run.addEventListener("change", draw);
  criterion.addEventListener("change", draw);
})();
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
});
