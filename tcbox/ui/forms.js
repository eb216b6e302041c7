// Forms to create and change things: fields, moments in the reader's own time, and refusals beside the button.

import { button, el } from "./dom.js";
import { clear } from "./notices.js";

/** A labelled input with a few words on what it is for. */
export function field(label, input, hint) {
  return el("label", {}, label, input, hint && el("span", { class: "hint" }, hint));
}

export function check(label, name, checked) {
  return el("label", { class: "check" }, el("input", { type: "checkbox", name, checked }), label);
}

export function area(name, value, { rows = 6, ...attributes } = {}) {
  const made = el("textarea", { name, rows, spellcheck: "false", autocapitalize: "off", ...attributes });
  made.value = value;
  return made;
}

export function line(name, value, attributes = {}) {
  return el("input", { name, value, autocomplete: "off", autocapitalize: "off", spellcheck: "false", ...attributes });
}

const local = (date) => new Date(date - 60_000 * date.getTimezoneOffset()).toISOString().replace(/:[^:]*$/, "");

/** An input for a moment, in the reader's own time. */
export function moment(name, text) {
  const made = el("input", { type: "datetime-local", name, required: true });
  made.value = local(new Date(text));
  made.was = [made.value, text];
  return made;
}

/** The moment in an input, as the API writes it; what was not changed is as exact as before. */
export function moved(input) {
  return input.value === input.was[0] ? input.was[1] : new Date(input.value).toISOString();
}

/** A form that does something when it is sent; what is refused is told below it, and nothing in it is lost. */
export function form(send, act, ...fields) {
  const refused = el("p", { class: "refusal", role: "alert" });
  const main = el("button", { class: "main" }, send);
  const made = el("form", { class: "fields" }, fields, refused, el("div", { class: "buttons" }, main));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
    refused.textContent = "";
    main.disabled = true;
    try {
      await act(made.elements);
    } catch (error) {
      refused.textContent = error.message.replaceAll(/^```\n?/gm, "");
    } finally {
      main.disabled = false;
    }
  });
  return made;
}

/** A button that asks before it does something that cannot be undone. */
export function danger(text, question, act) {
  return button(text, async () => { if (confirm(question)) await act(); }, { class: "danger" });
}

const UNITS = { y: 365 * 86400, mo: 30 * 86400, w: 7 * 86400, d: 86400, h: 3600, m: 60, s: 1 };
const DURATION = /^\s*\+?\s*(?:(\d+)\s*y(?:ears?|r)?)?\s*(?:(\d+)\s*mo(?:nths?)?)?\s*(?:(\d+)\s*w(?:eeks?|k)?)?\s*(?:(\d+)\s*d(?:ays?)?)?\s*(?:(\d+)\s*h(?:ours?|r)?)?\s*(?:(\d+)\s*m(?:in(?:utes?)?)?)?\s*(?:(\d+)\s*s(?:ec(?:onds?)?)?)?\s*$/;

/** The moment that is so far from now as words like `1d` or `2 weeks` say; null when they say nothing. */
export function fromNow(words) {
  const counts = words?.match(DURATION)?.slice(1) ?? [];
  if (!counts.some(Boolean)) return null;
  const seconds = Object.values(UNITS).reduce((sum, size, at) => sum + size * Number(counts[at] ?? 0), 0);
  const then = new Date(Date.now() + 1000 * seconds);
  return Number.isNaN(then.valueOf()) || then.getFullYear() > 9999 ? null : then.toISOString();
}
