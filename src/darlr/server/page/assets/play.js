// A session: a person plays the user. The history is kept here alone; the server keeps nothing of it.

import { get, guarded, post } from "./api.js";
import { card, found, meaning, most, plain } from "./cards.js";
import { combobox } from "./combo.js";
import { $, count, h, name, number, replace, say } from "./dom.js";
import * as side from "./side.js";

const CARDS = 6;
let state = { arm: null, user: undefined, history: [], turn: null, before: [], item: null, why: null, own: null, over: null };
let latest = 0;

export function open(arm) {
  state = { arm, user: undefined, history: [], turn: null, before: [], item: null, why: null, own: null, over: null };
  latest += 1;
  welcome();
}

export function again() {
  if (state.user !== undefined && !state.over) next(false);
}

const described = (one) => one.features.map((f) => `${f.name} ${plain(f)}`).concat(`${count(one.events)} events`).join(" · ");
const users = (text) => get("users", { arm: state.arm.arm, query: text, most: 8 });
const items = (text) => get("items", { arm: state.arm.arm, query: text, most: 8 });

function welcome() {
  const { arm } = state;
  replace($("play"), h("div", { class: "welcome" },
    h("h1", {}, "Play the user"),
    h("p", { class: "lead" },
      "The policy recommends, you answer, and you see at once how it adapts. A session ends when you leave",
      arm.turns ? `, or after ${arm.turns} turns.` : "."),
    h("div", { class: "doors" },
      h("section", { class: "panel" }, h("h2", {}, "A new user"),
        h("p", {}, "Nobody knows you. The policy begins with what pleases most users, and learns from your answers."),
        h("button", { type: "button", class: "main", id: "new-user", onclick: () => start(null) }, "Play as a new user")),
      h("section", { class: "panel" }, h("h2", {}, "A user of the log"),
        h("p", {}, `The log holds ${count(arm.users)} users. The policy knows their past.`),
        combobox({ id: "user", label: "Search for a user", hint: "id of a user", search: users, describe: described,
          choose: (one) => start(one.id, one) }))),
    arm.missing.map((text) => h("p", { class: "note" }, text))));
}

async function start(user, about = null) {
  Object.assign(state, { user, about, history: [], turn: null, before: [], item: null, why: null, own: null, over: null });
  await next(true);
}

async function next(focus) {
  const mine = ++latest, { arm } = state;
  const session = { arm: arm.arm, user: state.user, history: state.history };
  $("play").setAttribute("aria-busy", "true");
  const turn = await guarded(() => post("turn", {
    ...session, count: CARDS, strategy: $("strategy").value, request_id: `page ${state.history.length}`,
  }));
  $("play").removeAttribute("aria-busy");
  if (mine !== latest) return;
  if (!turn) return void state.history.pop();
  Object.assign(state, { turn, own: null, over: turn.ended ?? (turn.cards.length ? null : "empty") });
  const first = turn.cards[0];
  if (first && !state.over) explain(first.id, mine);
  draw();
  if (state.over) return void ($("again").focus(), say(ending()));
  if (focus) $("play").querySelector(".card")?.focus({ preventScroll: true });
  const so = state.history.length ? `Reward so far ${number(side.total(state.history.map((e) => e.reward)), 4)}. ` : "";
  say(`${so}Turn ${state.history.length + 1}. The first item is ${first.id}.`);
}

async function explain(item, mine = latest) {
  Object.assign(state, { item, why: null });
  const why = await guarded(() => post("reasons", { arm: state.arm.arm, user: state.user, history: state.history, item }));
  if (mine !== latest || state.item !== item) return;
  state.why = why;
  const place = $("why");
  if (place) replace(place, side.reasons(state.arm, item, why));
}

function choose(item) {
  explain(item);
  draw();
  document.querySelector(".card.chosen .quiet")?.focus({ preventScroll: true });
  $("why").scrollIntoView({ block: "nearest" });
}

function answer(item, reward) {
  state.before = state.turn.cards.map((one) => one.id).filter((id) => id !== item.id);
  state.history.push({ item: item.id, reward });
  next(true);
}

function leave() {
  state.over = "left";
  draw();
  $("again").focus();
  say(ending());
}

function ending() {
  const turns = state.history.length, sum = number(side.total(state.history.map((event) => event.reward)), 4);
  const why = {
    exit: "The last item made you leave.", turns: "The session has reached its last turn.",
    left: "You left.", empty: "No item is left to recommend.",
  }[state.over];
  return `${why} ${turns} ${turns === 1 ? "turn" : "turns"}, reward ${sum}.`;
}

function over() {
  if (!state.over) return null;
  const beside = state.turn.beside;
  return h("section", { class: "panel over" }, h("h2", {}, "Your session has ended"), h("p", { class: "lead" }, ending()),
    beside && state.history.length > 0 && h("p", {}, `A popularity list would have ${number(side.total(beside.rewards), 4)} after `,
      `${beside.rewards.length} turns${beside.lost ? ", when its last item makes you leave" : ""}.`),
    h("div", { class: "row" },
      h("button", { type: "button", class: "main", id: "again", onclick: () => start(state.user, state.about) }, "Play again"),
      h("button", { type: "button", class: "quiet", onclick: () => open(state.arm) }, "Choose another user")));
}

// The nearest reward that can be given to what the world model expects of a user of the log.
function usual() {
  const first = state.turn.cards[0];
  const { levels } = state.arm;
  return levels.reduce((best, value) => Math.abs(value - first.expected) < Math.abs(best - first.expected) ? value : best, levels[0]);
}

function head() {
  const { arm, user, about, history, turn } = state, known = turn.user_known;
  const who = user === null ? "a new user" : h("span", {}, known ? "user " : "a user who is not in the log, ", name(user));
  return h("div", { class: "session" },
    h("div", {}, h("h1", {}, "You are ", who), about && h("p", { class: "faint" }, described(about))),
    h("div", { class: "row" },
      h("p", { class: "turn" }, "Turn ", h("b", {}, history.length + (state.over ? 0 : 1)), arm.turns ? ` of ${arm.turns}` : ""),
      !state.over && known && turn.cards[0]?.expected != null && h("button", {
        type: "button", class: "quiet", title: "Answers the first item with the reward that the world model expects",
        onclick: () => answer(turn.cards[0], usual()),
      }, "Answer as this user"),
      !state.over && h("button", { type: "button", class: "quiet", id: "leave", onclick: leave }, "Leave")));
}

function past() {
  if (!state.history.length) return null;
  const known = new Map(state.turn.shown.map((one) => [String(one.id), one]));
  return h("ol", { class: "past", "aria-label": "Your answers so far", tabindex: "0" }, state.history.map((event) => h("li", {},
    name(event.item), h("span", { class: event.reward >= (most(state.arm) + state.arm.levels[0]) / 2 ? "high" : "low" },
      meaning(state.arm, event.reward)),
    known.get(String(event.item))?.categories.length ? h("span", { class: "faint" }, name(known.get(String(event.item)).categories[0])) : null)));
}

function keys(event) {
  const place = event.target.closest(".card");
  if (!place || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const all = [...document.querySelectorAll(".cards .card")], at = all.indexOf(place);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step && all[at + step]) {
    event.preventDefault();
    all[at + step].focus();
  }
  const buttons = place.querySelectorAll(".rate button");
  const first = state.arm.levels[0] === 0 ? 0 : 1;
  if (/^[0-9]$/.test(event.key)) buttons[Number(event.key) - first]?.click();
  if (event.key === "w") place.querySelector(".quiet")?.click();
  if (event.key === "l") leave();
}

function draw() {
  const { arm, turn, own } = state;
  const options = { before: state.before, answer, why: choose };
  const low = arm.levels[0] === 0 ? 0 : 1;
  replace($("play"), head(), past(), h("div", { class: "table" },
    h("div", { class: "left" }, over(),
      !state.over && h("h2", { class: "unseen" }, "Next items"),
      !state.over && h("div", { class: "cards", onkeydown: keys },
        own && found(arm, own, answer, () => { state.own = null; draw(); }),
        turn.cards.map((one) => card(arm, one, { ...options, chosen: one.id === state.item }))),
      !state.over && h("div", { class: "below" },
        combobox({ id: "item", label: "Rate an item of your choice", hint: "id, category or feature", search: items,
          describe: (one) => one.categories.concat(one.features.map((f) => `${f.name} ${plain(f)}`)).join(" · "),
          choose: (one) => { state.own = one; draw(); $("play").querySelector(".card.own").focus(); } }),
        h("p", { class: "faint hint" }, "Keys in a card: ", h("kbd", {}, `${low}–${Math.min(9, arm.levels.length - 1 + low)}`), " answer, ",
          h("kbd", {}, "←"), h("kbd", {}, "→"), " move, ", h("kbd", {}, "w"), " why, ", h("kbd", {}, "l"), " leave.")),
      !state.over && state.item !== null && h("div", { id: "why" }, side.reasons(arm, state.item, state.why)),
      turn.warnings.map((text) => h("p", { class: "note" }, text))),
    h("aside", { "aria-label": "How the policy adapts" },
      side.rewards(state.history, turn), side.taste(arm, turn, state.history),
      !state.over && side.exits(arm, turn), side.notes(arm))));
  const answers = document.querySelector(".past");
  if (answers) answers.scrollLeft = answers.scrollWidth;
}
