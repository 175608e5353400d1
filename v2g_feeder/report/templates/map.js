"use strict";
(async () => {
  const source = document.getElementById("map-data");
  const box = document.getElementById("map");
  if (!source || !box || !("DecompressionStream" in window)) return;
  const data = JSON.parse(source.textContent);
  const NONE = 255;
  const VOLTAGE = ["#4b2a7b", "#9d8bc4", "#b9bec5", "#f0b27a", "#b5480f"];
  const level = (pu) => {
    if (Number.isNaN(pu)) return -1;
    const beyond = [pu < 0.95 - 1e-9, pu < 0.975 - 1e-9, pu <= 1.025 + 1e-9, pu <= 1.05 + 1e-9, true];
    return beyond.indexOf(true);
  };
  const LOADING = [[50, "#c9ced4", 1.6], [80, "#dcb277", 2.2], [100, "#d98b3a", 3], [Infinity, "#a33a06", 4]];
  const at = (id) => document.getElementById(id);
  const run = at("map-run"), day = at("map-day"), hour = at("map-hour"), hourName = at("map-hour-name");
  const find = at("map-find"), told = at("map-told"), svg = at("map-svg");
  const places = data.buses.length, lines = data.lines.length;
  const small = places > 800;

  // one path a colour: strokes keep their width at every size, dots are strokes of no length
  const layer = (parent, colour, width, cap) => {
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("stroke", colour);
    path.setAttribute("stroke-width", width);
    path.setAttribute("stroke-linecap", cap);
    path.setAttribute("vector-effect", "non-scaling-stroke");
    path.setAttribute("fill", "none");
    parent.append(path);
    return path;
  };
  const dot = small ? 4.5 : 7;
  const dots = [];
  const layers = {
    unknown: layer(svg, "#9aa0a8", 1.4, "butt"),
    line: LOADING.map(([, colour, width]) => layer(svg, colour, small ? width * 0.8 : width, "round")),
    ring: layer(svg, "#a33a06", dot + 7, "round"),
    old: layer(svg, "#5d646d", dot + 5, "round"),
    gap: layer(svg, "#ffffff", dot + 3.4, "round"),
  };
  [2, 1, 3, 0, 4].forEach((i) => { dots[i] = layer(svg, VOLTAGE[i], dot, "round"); });
  layers.pick = layer(svg, "#22262b", dot + 5, "round");
  layers.pickGap = layer(svg, "#ffffff", dot + 1, "round");
  layers.unknown.setAttribute("stroke-dasharray", "2 3");
  const point = (p) => "M" + data.x[p] + " " + data.y[p] + "h0";
  const stretch = ([a, b]) => "M" + data.x[a] + " " + data.y[a] + "L" + data.x[b] + " " + data.y[b];

  const view = { x: -20, y: -20, w: 1040, h: data.height + 40 };
  const whole = { ...view };
  const look = () => svg.setAttribute("viewBox", [view.x, view.y, view.w, view.h].join(" "));
  const zoom = (factor, cx = view.x + view.w / 2, cy = view.y + view.h / 2) => {
    const size = Math.min(1, Math.max(0.02, view.w * factor / whole.w));
    const w = whole.w * size, h = whole.h * size;
    view.x = cx - (cx - view.x) * w / view.w;
    view.y = cy - (cy - view.y) * h / view.h;
    view.w = w; view.h = h;
    if (size === 1) Object.assign(view, whole);
    look();
  };

  const unpacked = new Map();
  const unpack = async (table, width) => {
    const bytes = Uint8Array.from(atob(table.codes), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const codes = new Uint8Array(await new Response(stream).arrayBuffer());
    for (let i = width; i < codes.length; i += 1) codes[i] += codes[i - width];
    return { codes, from: table.from, step: table.step, width };
  };
  const tables = (key) => {
    if (!unpacked.has(key)) {
      const one = data.runs.find((item) => item.key === key);
      unpacked.set(key, Promise.all([unpack(one.v, places), unpack(one.loading, lines), unpack(one.broken, places)]));
    }
    return unpacked.get(key);
  };
  const steps = () => {
    const days = day.value === "" ? data.days : [data.days[day.value]];
    const when = Number(hour.value);
    return days.flatMap((item) => when < 0 ? item.steps : item.steps.slice(when, when + 1));
  };
  const worst = (table, chosen, off) => {
    const found = new Float64Array(table.width).fill(NaN);
    for (const step of chosen) {
      for (let i = 0, k = step * table.width; i < table.width; i += 1, k += 1) {
        if (table.codes[k] === NONE) continue;
        const value = table.from + table.codes[k] * table.step;
        if (!(off(value) <= off(found[i]))) found[i] = value;
      }
    }
    return found;
  };
  let shown = null, picked = -1;
  const draw = async () => {
    const key = run.value;
    const [v, loading, broken] = await tables(key);
    if (key !== run.value) return;
    const chosen = steps();
    const volts = worst(v, chosen, (value) => Math.abs(value - 1));
    const loads = worst(loading, chosen, (value) => value);
    const marks = new Uint8Array(places);
    for (const step of chosen) {
      for (let i = 0, k = step * places; i < places; i += 1, k += 1) {
        if (broken.codes[k] > marks[i]) marks[i] = broken.codes[k];
      }
    }
    shown = { volts, loads, marks };
    const pick = (test, path) => {
      let text = "";
      for (let p = 0; p < places; p += 1) if (test(p)) text += point(p);
      path.setAttribute("d", text);
    };
    const classes = Array.from(volts, level);
    dots.forEach((path, i) => pick((p) => classes[p] === i, path));
    pick((p) => marks[p] === 2, layers.ring);
    pick((p) => marks[p] === 1, layers.old);
    pick((p) => marks[p] > 0, layers.gap);
    const texts = LOADING.map(() => "");
    let dark = "";
    data.lines.forEach((line, i) => {
      if (line[0] === line[1]) return;
      if (Number.isNaN(loads[i])) dark += stretch(line);
      else texts[LOADING.findIndex(([edge]) => loads[i] <= edge)] += stretch(line);
    });
    layers.unknown.setAttribute("d", dark);
    layers.line.forEach((path, i) => path.setAttribute("d", texts[i]));
    const when = Number(hour.value);
    hourName.textContent = when < 0 ? "all hours" : data.hours[when];
    hour.setAttribute("aria-valuetext", hourName.textContent);
    at("map-count").textContent = marks.filter((mark) => mark > 0).length + " of " + places + " places break a limit";
    tell();
  };
  const number = (value, digits) => value.toFixed(digits).replace("-", "\u2212");
  const tell = () => {
    if (picked < 0 || !shown) return;
    layers.pick.setAttribute("d", point(picked));
    layers.pickGap.setAttribute("d", point(picked));
    const parts = ["Bus " + data.buses[picked] + ": " + (Number.isNaN(shown.volts[picked]) ? "voltage not known" : number(shown.volts[picked], 3) + " pu farthest from 1")];
    data.lines.forEach((line, i) => {
      if (line[0] !== picked && line[1] !== picked) return;
      const inside = line[0] === line[1] ? "at this place, " : "";
      parts.push(inside + data.line_names[i] + " " + (Number.isNaN(shown.loads[i]) ? "rating unknown" : number(shown.loads[i], 0) + " %"));
    });
    const words = ["", "a limit is broken here, neither new nor worse", "a limit is broken here, new or worse"];
    if (shown.marks[picked]) parts.push(words[shown.marks[picked]]);
    told.textContent = parts.slice(0, 7).join("; ") + (parts.length > 7 ? "; and more" : "") + ".";
  };
  const choose = (place) => {
    picked = place;
    tell();
  };
  const nearest = (event, reach) => {
    const matrix = svg.getScreenCTM();
    if (!matrix) return -1;
    const to = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    let best = -1, least = (reach / matrix.a) ** 2;
    for (let p = 0; p < places; p += 1) {
      const gap = (data.x[p] - to.x) ** 2 + (data.y[p] - to.y) ** 2;
      if (gap < least) { least = gap; best = p; }
    }
    return best;
  };
  let held = null;
  svg.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY };
    const place = nearest(event, 22);
    if (place >= 0) choose(place);
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons === 1 && held && view.w < whole.w) {
      const scale = svg.getScreenCTM().a;
      view.x -= (event.clientX - held.x) / scale;
      view.y -= (event.clientY - held.y) / scale;
      held = { x: event.clientX, y: event.clientY };
      look();
      return;
    }
    const place = nearest(event, 14);
    if (place >= 0 && place !== picked) choose(place);
  });
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      choose((picked + moves[event.key] + places) % places);
    }
  });
  at("map-in").addEventListener("click", () => picked >= 0 ? zoom(0.6, data.x[picked], data.y[picked]) : zoom(0.6));
  at("map-out").addEventListener("click", () => zoom(1 / 0.6));
  at("map-all").addEventListener("click", () => zoom(1e9));
  find.addEventListener("change", () => {
    const name = find.value.trim().toLowerCase();
    const place = data.buses.findIndex((bus) => bus.toLowerCase() === name);
    if (place >= 0) choose(place);
    else if (name) told.textContent = "No bus " + find.value.trim() + " is drawn; a service is drawn at the bus that feeds it.";
  });
  const names = at("map-buses");
  data.buses.forEach((bus) => { const option = document.createElement("option"); option.value = bus; names.append(option); });
  data.runs.forEach((item) => run.append(new Option(item.label, item.key)));
  data.days.forEach((item, i) => day.append(new Option(item.label, i)));
  hour.max = data.hours.length - 1;
  [run, day].forEach((control) => control.addEventListener("change", draw));
  hour.addEventListener("input", draw);
  const where = document.querySelector("select[data-shows='where']");
  if (where) {
    where.addEventListener("change", () => {
      if (data.runs.some((item) => item.key === where.value)) { run.value = where.value; draw(); }
    });
  }
  look();
  await draw();
  box.hidden = false;
  const still = at("map-still");
  if (still) still.hidden = true;
})();
