// A search field with a list of what the server found (the combobox pattern of WAI-ARIA).

import { guarded } from "./api.js";
import { h, name, replace, say } from "./dom.js";

const WAIT = 120; // milliseconds after the last letter

// search: a function from text to a promise of {found, total}. choose: is told what was chosen.
export function combobox({ id, label, hint, search, describe, choose }) {
  let found = [], at = -1, timer = 0, latest = 0;
  const list = h("ul", { id: `${id}-list`, class: "options", role: "listbox", "aria-label": label, hidden: true });
  const input = h("input", {
    id, type: "search", role: "combobox", autocomplete: "off", spellcheck: "false", maxlength: "100",
    "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-autocomplete": "list", placeholder: hint,
    oninput: () => { clearTimeout(timer); timer = setTimeout(look, WAIT); },
    onfocus: () => look(),
    onblur: () => setTimeout(close, 150),
    onkeydown: (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (list.hidden) look();
        else mark((at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(1, found.length));
      } else if (event.key === "Enter" && found.length && !list.hidden) {
        event.preventDefault();
        take(found[Math.max(0, at)]);
      } else if (event.key === "Escape") close();
    },
  });

  async function look() {
    const mine = ++latest;
    const answer = await guarded(() => search(input.value));
    if (!answer || mine !== latest || document.activeElement !== input) return;
    found = answer.found;
    at = -1;
    replace(list, found.length
      ? found.map((one, place) => h("li", {
        id: `${id}-${place}`, role: "option", "aria-selected": "false",
        onmousedown: (event) => { event.preventDefault(); take(one); },
      }, name(one.id), h("span", { class: "faint" }, describe(one))))
      : h("li", { class: "faint", role: "option", "aria-disabled": "true" }, "Nothing was found."));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    say(`${found.length} found`);
  }

  function mark(place) {
    at = place;
    [...list.children].forEach((one, index) => one.setAttribute("aria-selected", index === at ? "true" : "false"));
    input.setAttribute("aria-activedescendant", `${id}-${at}`);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function take(one) {
    latest += 1;
    close();
    input.value = "";
    choose(one);
  }

  return h("div", { class: "combo" }, h("label", { for: id }, label), input, list);
}
