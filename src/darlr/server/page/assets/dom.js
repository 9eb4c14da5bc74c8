// Elements from plain values. Text becomes text nodes and attributes alone, so that no string of the data is markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export const h = (tag, props, ...children) => filled(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => filled(document.createElementNS(SVG, tag), props, children);

// A name from the data: its direction is its own, and it breaks anywhere.
export const name = (text) => h("bdi", { class: "name", title: String(text).length > 40 ? text : null }, text);

export const $ = (id) => document.getElementById(id);

export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child));
  return element;
}

export function say(text) {
  $("status").textContent = text;
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const shown = Math.abs(value) >= 10 ** digits ? value.toFixed(0) : Number(value.toPrecision(digits)).toString();
  return shown.replace("-", "−");
}

export const signed = (value, digits = 2) => (value > 0 ? "+" : "") + number(value, digits);
export const count = (value) => value.toLocaleString("en");
// An id, with the word before it where the id alone would be a bare number.
export const called = (word, id) =>
  /^[\d.-]+$/.test(String(id)) ? [h("span", { class: "word" }, `${word} `), name(id)] : [name(id)];

export const short = (text, most = 24) => (String(text).length > most ? String(text).slice(0, most - 1) + "…" : String(text));
