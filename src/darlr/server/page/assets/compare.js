// The rows of evaluations: the arms side by side, and all rows of one run.

import { get, guarded } from "./api.js";
import { interval, legend, lines } from "./charts.js";
import { $, count, h, name, number, replace } from "./dom.js";

const title = (row) => `${row.name}${row.sampled && row.kind === "learned" ? " (sampled)" : ""}${row.kind === "truth" ? " †" : ""}`;

function table(report, turns, keep) {
  const rows = report.rows.filter(keep);
  const low = Math.min(...rows.map((row) => row.interval[0])), high = Math.max(...rows.map((row) => row.interval[1]));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Evaluation" }, h("table", { class: "rows" },
    h("caption", { class: "unseen" }, `Reward of a session with 95% interval. ${report.setting}`),
    h("thead", {}, h("tr", {}, ["Policy", "Reward of a session", "Mean, 95% interval", "Turns", "Reward a turn", "Catalogue"].map((text, place) =>
      h("th", { scope: "col", class: place > 2 ? "right" : null }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", { class: row.kind === "learned" ? "strong" : null },
      h("th", { scope: "row" }, name(title(row))),
      h("td", {}, interval(row.mean, row.interval, low, high, row.kind === "learned")),
      h("td", { class: "narrow" }, h("b", {}, number(row.mean, 4)), h("span", { class: "faint" }, ` ${number(row.interval[0], 4)} to ${number(row.interval[1], 4)}`)),
      h("td", { class: "right" }, number(row.length), turns ? h("span", { class: "faint" }, row.length < turns - 0.005 ? " users leave early" : " to the end") : null),
      h("td", { class: "right" }, number(row.each)),
      h("td", { class: "right" }, `${number(100 * row.coverage)}%`))))));
}

function about(report) {
  const users = report.rows[0]?.users, seeds = report.about.seeds;
  return h("p", { class: "faint" }, report.setting, users ? `; ${count(users)} users` : "", seeds ? `; seeds ${[seeds].flat().join(", ")}` : "",
    ". † reads the rewards that sessions are played on: it is no method.");
}

const shown = (text) => text.split(/(darlr (?:evaluate|export|train) .*)$/).map((part, place) => (place % 2 ? h("code", {}, part) : part));
const missing = (texts) => texts.map((text) => h("p", { class: "note" }, shown(text)));

export async function compare() {
  replace($("compare"), h("p", { class: "faint loading" }, "Reading the evaluations…"));
  const found = await guarded(() => get("comparison"));
  if (!found) return;
  replace($("compare"), h("h1", {}, "The arms side by side"),
    missing(found.missing),
    found.reports.map((report) => h("section", { class: "panel wide" },
      report.verdict.length > 0 && h("p", { class: "lead" }, report.verdict[0]),
      table(report, found.turns, (row) => (row.kind === "learned" && !row.sampled) || /^(random|popularity list|oracle)/.test(row.name)),
      legend(["main", "learned policies"], ["other", "simple lists and references"]),
      about(report),
      report.verdict.slice(1).map((text) => h("p", {}, shown(text))))));
}

export async function run(arm) {
  replace($("run"), h("p", { class: "faint loading" }, "Reading the run…"));
  const found = await guarded(() => get("training", { arm: arm?.arm }));
  if (!found) return;
  const chart = (curve) => h("figure", { class: "panel" }, h("figcaption", {}, curve.title),
    lines([{ name: curve.name, kind: "main", points: curve.epochs.map((epoch, place) => [epoch, curve.values[place]]) }],
      { label: `${curve.title}: ${number(curve.values[0])} in epoch ${curve.epochs[0]}, ${number(curve.values.at(-1))} in epoch ${curve.epochs.at(-1)}.`, named: false, xs: "epoch" }));
  replace($("run"), h("h1", {}, "The run ", name(arm?.run ?? "")),
    h("dl", { class: "facts line" }, found.facts.map((one) => h("div", {}, h("dt", {}, one.name), h("dd", {}, name(one.value))))),
    missing(found.missing),
    found.curves.length > 0 && h("section", {}, h("h2", {}, "Failure signatures"),
      found.signatures.length
        ? h("ul", { class: "signs" }, found.signatures.map((one) => h("li", { class: "note" }, h("b", {}, `${one.signature}, epoch ${one.epoch}`), h("span", {}, one.message))))
        : h("p", { class: "faint" }, "Training showed none.")),
    found.curves.length > 0 && h("section", {}, h("h2", {}, "Curves"), h("div", { class: "curves" }, found.curves.map(chart))),
    found.report && h("section", {}, h("h2", {}, "All rows"), h("div", { class: "panel wide" }, table(found.report, null, () => true), about(found.report))));
}
