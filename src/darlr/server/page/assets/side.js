// What stands beside the cards: the rewards so far, what the answers changed, and why an item is here.

import { diverging, legend, lines, references } from "./charts.js";
import { called, h, name, number, signed } from "./dom.js";

const panel = (title, ...parts) => h("section", { class: "panel" }, h("h2", {}, title), ...parts);

const sums = (rewards) => {
  let total = 0;
  return [[0, 0], ...rewards.map((reward, place) => [place + 1, (total += reward)])];
};

export const total = (rewards) => rewards.reduce((sum, reward) => sum + reward, 0);

export function rewards(history, turn) {
  const own = history.map((event) => event.reward), beside = turn.beside;
  if (!own.length) {
    return panel("Reward so far", h("p", { class: "faint" },
      "Answer an item, and your rewards are drawn here beside those of a plain popularity list."));
  }
  const series = [{ name: "this policy", kind: "main", points: sums(own) }];
  if (beside) series.push({ name: "popularity", kind: "other", points: sums(beside.rewards), lost: beside.lost });
  const said = `Your rewards sum to ${number(total(own), 4)} after ${own.length} turns.` +
    (beside ? ` The popularity list has ${number(total(beside.rewards), 4)} after ${beside.rewards.length}.` : "");
  return panel("Reward so far",
    h("p", { class: "big" }, h("b", {}, number(total(own), 4)),
      beside && h("span", { class: "faint" }, ` against ${number(total(beside.rewards), 4)} of a popularity list`)),
    lines(series, { label: said, zero: true, xs: "turns" }),
    beside ? h("p", { class: "faint" },
      beside.lost && h("b", {}, `The list would have lost you after ${beside.rewards.length} turns. `),
      "Its rewards are your answers where you gave one, otherwise the world model's estimates for you.")
      : h("p", { class: "faint" }, "A popularity list beside it needs the estimates in the run's folder."));
}

export function taste(arm, turn, history) {
  const title = "What your answers changed";
  if (!history.length) return panel(title, h("p", { class: "faint" }, "Nothing yet. Each answer moves the expected rewards of other items."));
  if (!turn.taste.length) {
    return panel(title, h("p", { class: "faint" },
      turn.user_known
        ? "This policy keeps no belief about a known user. It adapts by the items and rewards of the session in its state."
        : "Your answers moved no expected reward."));
  }
  const rows = (turn.categories.length ? turn.categories : turn.taste).map((one) => ({ name: one.name, value: one.moved }));
  const rising = turn.taste.filter((one) => one.moved > 0).slice(0, 3);
  return panel(title,
    h("p", { class: "faint" }, `Expected reward of ${turn.categories.length ? "each category" : "items"}, moved by your answers: the largest rises and the largest falls.`),
    diverging(rows, { label: `Largest rise: ${rows[0].name}, ${signed(rows[0].value)}. Largest fall: ${rows.at(-1).name}, ${signed(rows.at(-1).value)}.` }),
    turn.categories.length > 0 && rising.length > 0 && h("p", { class: "faint" }, "Items that rose most: ",
      rising.map((one, place) => [place ? ", " : "", name(one.name), ` ${signed(one.moved)}`]).flat()));
}

function row(label, value, hint, strong = false) {
  return h("tr", { class: strong ? "strong" : null }, h("th", { scope: "row", title: hint }, label), h("td", {}, value));
}

export function reasons(arm, item, found) {
  const title = h("span", {}, "Why ", called("item", item), "?");
  if (!found) return panel(title, h("p", { class: "faint loading" }, "Asking…"));
  if (found.missing) return panel(title, h("p", { class: "faint" }, found.missing));
  const many = found.references.length;
  const sum = h("div", {},
    h("table", { class: "sum" }, h("caption", { class: "unseen" }, "The reward that the policy learned from"),
      h("tbody", {},
        row("Frozen reward r₀", number(found.frozen), "The estimate of the world model"),
        row("Dynamic reward r", number(found.dynamic), "The estimate that the method learns from (Eq. 15)"),
        row("Penalty for uncertainty", `−${number(found.penalty)}`, "λ_U P_U (Eq. 16)"),
        found.bonus ? row("Bonus for an unusual choice", `+${number(found.bonus)}`, "λ_E P_E") : null,
        row("Learned from", number(found.paid), "r − penalty + bonus", true))),
    many > 0 && h("details", {}, h("summary", {}, `All ${many} reference users`),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Reference users" }, h("table", {},
        h("thead", {}, h("tr", {}, ["User", "Similarity", "Estimate"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, found.references.map((one) => h("tr", {}, h("th", { scope: "row" }, name(one.user)),
          h("td", {}, number(one.similarity)), h("td", {}, number(one.estimate)))))))));
  if (!many) return panel(title, sum, h("p", { class: "faint" }, "This method picks no reference users."));
  return panel(title, h("div", { class: "halves" }, sum, h("div", {},
    h("p", { class: "faint" }, `The selector picked ${many} reference users. Their estimates for this item:`),
    references(found, arm.low, arm.high))));
}

export function exits(arm, turn) {
  if (!arm.exits) return null;
  const some = turn.enders, more = turn.ending - some.length;
  return panel("What would end your session",
    h("p", { class: "faint" }, arm.exits),
    some.length > 0 && h("ul", { class: "chips enders" }, some.map((id) => h("li", {}, called("Item", id)))),
    turn.ending !== null && turn.ending > 0
      ? h("p", { class: "faint" }, `${turn.ending} of ${arm.items.toLocaleString("en")} items would now.${some.length && more > 0 ? " These are the most popular of them." : ""}`)
      : h("p", { class: "faint" }, "No item would now."));
}

export function notes(arm) {
  return panel("This policy",
    h("dl", { class: "facts" },
      [["Method", arm.method ?? "unknown"], ["Users", arm.users.toLocaleString("en")], ["Items", arm.items.toLocaleString("en")],
        ["Version", arm.version]].map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, name(value))))),
    arm.missing.map((text) => h("p", { class: "note" }, text)),
    legend(["main", "expected after your answers"], ["hollow", "before them"]));
}
