// Small charts as SVG. Each has a sentence for those who do not see it.

import { h, number, s, short } from "./dom.js";

export function scale(low, high, from, to) {
  const width = high - low || 1;
  return (value) => from + ((value - low) / width) * (to - from);
}

function ticks(low, high, most, whole = false) {
  const step = 10 ** Math.floor(Math.log10((high - low || 1) / most));
  let chosen = [1, 2, 5, 10].map((times) => times * step).find((size) => (high - low) / size <= most) ?? step * 10;
  if (whole) chosen = Math.max(1, Math.round(chosen));
  const first = Math.ceil(low / chosen - 1e-9), last = Math.floor(high / chosen + 1e-9);
  const digits = Math.max(0, Math.ceil(-Math.log10(chosen) - 1e-9));
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => {
    const value = (first + place) * chosen;
    return [value, Math.abs(value) >= 1e5 ? value.toExponential(0) : value.toFixed(digits).replace(/^-(?=0*[.]?0*$)/, "").replace("-", "−")];
  });
}

const frame = (width, height, label, ...parts) =>
  s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label }, ...parts);

// series: [{name, points: [[x, y]], kind: "main" or "other", lost}]. zero: whether the axis begins at 0.
export function lines(series, { label, width = 340, height = 150, zero = false, xs = "", named = true }) {
  const all = series.flatMap((one) => one.points);
  if (!all.length) return null;
  const [left, right, top, bottom] = [42, named ? 80 : 44, 8, 20];
  const x0 = Math.min(...all.map((p) => p[0])), x1 = Math.max(...all.map((p) => p[0]));
  let y0 = Math.min(...all.map((p) => p[1]), ...(zero ? [0] : [])), y1 = Math.max(...all.map((p) => p[1]));
  if (y0 === y1) [y0, y1] = [y0 - 0.5, y1 + 0.5];
  const x = scale(x0, x1 === x0 ? x0 + 1 : x1, left, width - right), y = scale(y0, y1, height - bottom, top);
  const grid = ticks(y0, y1, 4).map(([value, text]) => s("g", {},
    s("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }),
    s("text", { x: left - 6, y: y(value) + 3.5, class: "tick end" }, text)));
  const along = ticks(x0, x1, 5, true).map(([value, text]) =>
    s("text", { x: x(value), y: height - 6, class: "tick middle" }, text));
  const ends = series.map((one) => y(one.points.at(-1)[1]) + 4);
  if (ends.length === 2 && Math.abs(ends[0] - ends[1]) < 13) {
    const middle = (ends[0] + ends[1]) / 2, up = ends[0] <= ends[1] ? 0 : 1;
    ends[up] = middle - 6.5;
    ends[1 - up] = middle + 6.5;
  }
  const drawn = series.map((one, place) => {
    const [ex, ey] = one.points.at(-1);
    return s("g", { class: one.kind },
      s("polyline", { points: one.points.map((p) => `${x(p[0])},${y(p[1])}`).join(" "), class: "line" }),
      s("circle", { cx: x(ex), cy: y(ey), r: one.points.length < 3 || one.lost ? 3.2 : 2.6, class: one.lost ? "dot hollow" : "dot" }),
      named && s("text", { x: width - right + 7, y: ends[place], class: "tick label" }, short(one.name, 13)));
  });
  const unit = xs && s("text", { x: width - right + 8, y: height - 6, class: "tick" }, xs);
  return frame(width, height, label, ...grid, ...along, unit, ...drawn);
}

// Bars to either side of zero. rows: [{name, value}].
export function diverging(rows, { label, width = 340 }) {
  const step = 21, height = rows.length * step + 4, middle = 205;
  const most = Math.max(...rows.map((row) => Math.abs(row.value)), 1e-9);
  const reach = scale(0, most, 0, 82);
  return frame(width, height, label,
    s("line", { x1: middle, x2: middle, y1: 0, y2: height, class: "grid strong" }),
    ...rows.map((row, place) => {
      const size = reach(Math.abs(row.value)), up = row.value >= 0, at = place * step + 4;
      return s("g", { class: up ? "main" : "other" },
        s("text", { x: middle - 94, y: at + 11, class: "tick end" }, s("title", {}, row.name), short(row.name, 17)),
        s("rect", { x: up ? middle : middle - size, y: at, width: Math.max(1, size), height: 13, rx: 3, class: "bar" }),
        s("text", { x: width - 2, y: at + 11, class: "tick end strong" }, `${up ? "+" : ""}${number(row.value, 2)}`));
    }));
}

// Reference users by similarity and estimate, with lines at the frozen and the dynamic reward.
export function references(found, low, high, width = 340, height = 150) {
  const [left, right, top, bottom] = [30, 64, 8, 30];
  const values = found.references.map((one) => one.estimate).concat([found.frozen, found.dynamic]);
  const y = scale(Math.min(low, ...values), Math.max(high, ...values), height - bottom, top);
  const x = scale(-1, 1, left, width - right);
  const at = [y(found.frozen), y(found.dynamic)], near = Math.abs(at[0] - at[1]) < 12;
  const line = (value, kind, text, down) => s("g", { class: kind },
    s("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "line dashed" }),
    s("text", { x: width - right + 6, y: y(value) + 3.5 + (near ? down : 0), class: "tick label" }, text));
  const sign = at[0] < at[1] ? -6 : 6;
  return frame(width, height,
    `${found.references.length} reference users; their estimates go from ${number(Math.min(...found.references.map((r) => r.estimate)))} to ${number(Math.max(...found.references.map((r) => r.estimate)))}.`,
    ...ticks(low, high, 4).map(([value, text]) => s("g", {},
      s("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }),
      s("text", { x: left - 6, y: y(value) + 3.5, class: "tick end" }, text))),
    ...[-1, 0, 1].map((value) => s("text", { x: x(value), y: height - 17, class: "tick middle" }, number(value))),
    s("text", { x: (left + width - right) / 2, y: height - 4, class: "tick middle faint" }, "similarity to you"),
    ...found.references.map((one) => s("circle", { cx: x(one.similarity), cy: y(one.estimate), r: 3.4, class: "mark" },
      s("title", {}, `user ${one.user}: similarity ${number(one.similarity)}, estimate ${number(one.estimate)}`))),
    line(found.frozen, "other", "frozen", sign),
    line(found.dynamic, "main", "dynamic", -sign));
}

// A value with its interval on a common axis.
export function interval(value, ends, low, high, strong) {
  const x = scale(low, high, 4, 216);
  return s("svg", { viewBox: "0 0 220 16", class: `interval ${strong ? "main" : "other"}`, "aria-hidden": "true" },
    s("line", { x1: 4, x2: 216, y1: 8, y2: 8, class: "grid" }),
    s("line", { x1: x(ends[0]), x2: x(ends[1]), y1: 8, y2: 8, class: "line thick" }),
    s("circle", { cx: x(value), cy: 8, r: 4, class: "dot" }));
}

// Where a reward lies in its range: hollow before the session, filled after the answers.
export function gauge(low, high, before, now) {
  const x = scale(low, high, 5, 155);
  return s("svg", { viewBox: "0 0 160 12", class: "gauge main", "aria-hidden": "true" },
    s("line", { x1: 5, x2: 155, y1: 6, y2: 6, class: "grid strong" }),
    s("line", { x1: x(before), x2: x(now), y1: 6, y2: 6, class: "line" }),
    s("circle", { cx: x(before), cy: 6, r: 3.5, class: "dot hollow" }),
    s("circle", { cx: x(now), cy: 6, r: 4, class: "dot" }));
}

export const legend = (...entries) => h("p", { class: "legend" }, entries.map(([kind, text]) =>
  h("span", { class: kind }, h("i", { "aria-hidden": "true" }), text)));
