// The recommended items as cards, and the buttons that answer them.

import { gauge } from "./charts.js";
import { called, count, h, name, number } from "./dom.js";

const whole = (levels) => levels.length <= 5 && levels[0] >= 1 && levels.every((value) => Number.isInteger(value));

export function meaning(arm, reward) {
  if (arm.clicks) return reward === arm.levels.at(-1) ? "click" : "no click";
  return number(reward);
}

export const most = (arm) => arm.levels.at(-1);

// The buttons of all rewards. said: what the item is called in their labels.
export function rating(arm, said, answer) {
  const stars = whole(arm.levels) && !arm.clicks;
  const words = (value) =>
    arm.clicks ? (value === most(arm) ? "Click" : "No click") : stars ? "★" : number(value);
  return h("div", { class: stars ? "rate stars" : "rate", role: "group", "aria-label": `Your reward for ${said}` },
    arm.levels.map((value) => h("button", {
      type: "button", "data-reward": value,
      "aria-label": `${arm.clicks ? words(value) : `Reward ${number(value)} of ${number(most(arm))}`}: ${said}`,
      title: arm.clicks ? null : `Reward ${number(value)}`,
      onclick: () => answer(value),
    }, words(value))));
}

// "segment: segment 3" says it twice.
export const plain = (one) => one.value.startsWith(`${one.name} `) ? one.value.slice(one.name.length + 1) : one.value;

function details(item) {
  return [
    item.categories.length > 0 && h("ul", { class: "chips", "aria-label": "Categories" },
      item.categories.map((one) => h("li", {}, name(one)))),
    item.features.length > 0 && h("dl", { class: "features" },
      item.features.map((one) => h("div", {}, h("dt", {}, name(one.name)), h("dd", {}, name(plain(one)))))),
  ];
}

function rise(card, before) {
  if (!before.length) return null;
  const place = before.indexOf(card.id);
  if (place < 0) return h("span", { class: "tag new" }, "new here");
  const up = place + 1 - card.rank;
  return up ? h("span", { class: "tag", title: "Places since your last answer" }, up > 0 ? `▲ ${up}` : `▼ ${-up}`) : null;
}

function expectation(arm, card) {
  if (card.expected === null) return null;
  const now = Math.min(arm.high, Math.max(arm.low, card.expected + (card.moved ?? 0)));
  const moved = card.moved !== null && Math.abs(card.moved) > 1e-3 * (arm.high - arm.low);
  return h("div", { class: "expected" },
    gauge(arm.low, arm.high, Math.min(arm.high, Math.max(arm.low, card.expected)), now),
    h("p", {}, "expected ", h("b", {}, number(now)), moved && h("span", { class: "faint" }, ` was ${number(card.expected)}`)));
}

// before: the ids that were shown one turn ago. chosen: whether its reasons are shown.
export function card(arm, one, { before, chosen, answer, why }) {
  const said = `item ${one.id}`;
  return h("article", {
    class: `card${one.ends ? " ending" : ""}${chosen ? " chosen" : ""}`, tabindex: "-1",
    "aria-label": `Rank ${one.rank}: ${said}${one.ends ? ", would end your session" : ""}`, "data-item": one.id,
  },
  h("header", {}, h("span", { class: "rank" }, one.rank), h("h3", {}, called("Item", one.id)), rise(one, before)),
  details(one),
  expectation(arm, one),
  one.ends && h("p", { class: "warn" }, "This item would end your session."),
  h("p", { class: "numbers" },
    h("span", { title: "Higher is better" }, "score ", h("b", {}, number(one.score))),
    h("span", { title: "The probability of this item at this rank, given the ranks before" },
      "propensity ", h("b", {}, number(one.propensity)))),
  h("footer", {}, rating(arm, said, (reward) => answer(one, reward)),
    h("button", { type: "button", class: "quiet", "aria-pressed": chosen ? "true" : "false", onclick: () => why(one.id) },
      "Why?", h("span", { class: "unseen" }, ` Explain ${said}`))));
}

// An item that the person has searched for.
export function found(arm, item, answer, drop) {
  return h("article", { class: "card own", tabindex: "-1", "aria-label": `Your choice: item ${item.id}` },
    h("header", {}, h("h3", {}, called("Item", item.id)), h("span", { class: "tag" }, "your choice")),
    details(item),
    h("p", { class: "numbers" }, `logged by ${count(item.events)} users`),
    h("footer", {}, rating(arm, `item ${item.id}`, (reward) => answer(item, reward)),
      h("button", { type: "button", class: "quiet", onclick: drop }, "Drop")));
}

