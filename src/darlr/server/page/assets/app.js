// The page: its views, its policies, and what opens first.

import { get, guarded } from "./api.js";
import { compare, run } from "./compare.js";
import { $, h, replace } from "./dom.js";
import { again, open } from "./play.js";

const VIEWS = ["play", "compare", "run"];
let arm = null;
const stale = new Set(VIEWS);

function show(view, focus) {
  for (const one of VIEWS) {
    const tab = $(`tab-${one}`), here = one === view;
    tab.setAttribute("aria-selected", here ? "true" : "false");
    tab.tabIndex = here ? 0 : -1;
    $(one).hidden = !here;
    if (here && focus) tab.focus();
  }
  if (location.hash !== `#${view}`) history.replaceState(null, "", `#${view}`);
  if (!arm || !stale.delete(view)) return;
  if (view === "compare") compare();
  if (view === "run") run(arm);
}

const current = () => VIEWS.find((view) => location.hash === `#${view}`) ?? "play";

function tabs() {
  for (const [place, view] of VIEWS.entries()) {
    $(`tab-${view}`).addEventListener("click", () => show(view, false));
    $(`tab-${view}`).addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) show(VIEWS[(place + step + VIEWS.length) % VIEWS.length], true);
    });
  }
  addEventListener("hashchange", () => show(current(), false));
}

async function choose(name) {
  replace($("play"), h("p", { class: "faint loading" }, "Opening the run…"));
  const found = await guarded(() => get("arm", { arm: name }));
  if (!found) return;
  arm = found;
  for (const view of ["compare", "run"]) stale.add(view);
  open(arm);
  show(current(), false);
}

async function begin() {
  tabs();
  show(current(), false);
  const served = await guarded(() => get("arms"));
  if (!served) return;
  replace($("arm"), served.arms.map((name) => h("option", { value: name }, name)));
  $("strategy").value = served.strategy;
  $("arm").addEventListener("change", () => choose($("arm").value));
  $("strategy").addEventListener("change", again);
  await choose(served.arms[0]);
}

begin();
