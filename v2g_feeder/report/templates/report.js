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
  const body = document.querySelector("#count-table tbody");
  const told = document.getElementById("count-told");
  const rows = [...body.rows];
  const cells = rows.map((row) => [...row.querySelectorAll("td")]);
  const table = () => (data[run.value] || {})[criterion.value];
  const draw = () => {
    const found = table();
    cells.forEach((row, day) => row.forEach((cell, hour) => {
      const value = found ? found.count[day][hour] : 0;
      const level = value <= 0 ? 0 : 1 + bins.slice(1).filter((edge) => value > edge).length;
      cell.textContent = value <= 0 ? "" : value >= 10 ? value.toFixed(0) : value.toFixed(1);
      cell.className = "k" + level;
    }));
    document.getElementById("count-none").hidden = Boolean(found);
  };
  const tell = (day, hour) => {
    const found = table();
    const worst = found && found.worst[24 * day + hour];
    const count = cells[day][hour].textContent || "no";
    told.textContent = rows[day].cells[0].textContent + " " + String(hour).padStart(2, "0") + ":00: " + count +
      " places, mean of draws" + (worst ? "; worst " + worst : "") + ".";
  };
  const place = (target) => {
    const day = cells.findIndex((row) => row.includes(target));
    return day < 0 ? null : [day, cells[day].indexOf(target)];
  };
  ["pointerover", "focusin"].forEach((kind) => body.addEventListener(kind, (event) => {
    const found = place(event.target);
    if (found) tell(...found);
  }));
  body.addEventListener("keydown", (event) => {
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const found = place(event.target);
    if (!move || !found) return;
    event.preventDefault();
    const [day, hour] = [found[0] + move[0], found[1] + move[1]];
    if (!cells[day] || !cells[day][hour]) return;
    event.target.tabIndex = -1;
    cells[day][hour].tabIndex = 0;
    cells[day][hour].focus();
  });
  if (cells[0]) cells[0][0].tabIndex = 0;
  told.hidden = false;
  run.addEventListener("change", draw);
  criterion.addEventListener("change", draw);
})();
document.querySelectorAll("table.wide:not(.stays)").forEach((table) => {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 3 || body.querySelector("[colspan]")) return;
  const original = [...body.rows];
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (words) => {
    const found = words.replace(/[,\u202f\u00a0]/g, "").replace(/\u2212/g, "-").match(/^-?\d+(\.\d+)?/);
    return found ? Number(found[0]) : NaN;
  };
  const compare = (column, sign) => (one, other) => {
    const [a, b] = [text(one, column), text(other, column)];
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return sign * (Number.isNaN(x) ? a.localeCompare(b) : x - y);
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort || "none"];
      heads.forEach((other) => { other.ariaSort = null; });
      head.ariaSort = next === "none" ? null : next;
      const order = next === "none" ? original : [...original].sort(compare(column, next === "ascending" ? 1 : -1));
      body.append(...order);
    });
  });
  if (original.length < 10) return;
  const line = document.createElement("p");
  line.className = "filter";
  const label = document.createElement("label");
  const field = document.createElement("input");
  field.type = "search";
  field.autocomplete = "off";
  const count = document.createElement("output");
  label.append("Rows with ", field);
  line.append(label, " ", count);
  const region = table.closest(".scroll") || table;
  region.before(line);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let kept = 0;
    original.forEach((row) => {
      const all = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => all.includes(word));
      kept += !row.hidden;
    });
    count.textContent = words.length ? kept + " of " + original.length + " rows" : "";
  });
});
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
});
