// What the page asks of its server. A key is kept for this tab alone.

import { $, h, replace } from "./dom.js";

const KEY = "darlr-key";

function askForKey() {
  return new Promise((resolve) => {
    const input = h("input", { id: "key", type: "password", autocomplete: "off", required: true });
    const form = h("form", {
      class: "panel key",
      onsubmit: (event) => {
        event.preventDefault();
        sessionStorage.setItem(KEY, input.value.trim());
        replace($("error"));
        resolve();
      },
    }, h("label", { for: "key" }, "This server needs a key."), input, h("button", { class: "main" }, "Open"));
    replace($("error"), form);
    input.focus();
  });
}

let asking = null;

async function call(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...(options.headers ?? {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) {
    asking ??= askForKey().finally(() => { asking = null; });
    await asking;
    return call(path, options);
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `the server answered ${answer.status}`);
  return body;
}

function query(values) {
  const known = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return new URLSearchParams(known).toString();
}

export const get = (path, values = {}) => call(`/page/${path}?${query(values)}`);
export const post = (path, body) =>
  call(`/page/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// Shows what went wrong, and goes on.
export async function guarded(work) {
  try {
    const found = await work();
    if (!asking) replace($("error"));
    return found;
  } catch (error) {
    const text = error instanceof TypeError ? "The server does not answer. Is it still running?" : error.message;
    replace($("error"), h("p", { class: "note bad" }, text));
    return null;
  }
}
