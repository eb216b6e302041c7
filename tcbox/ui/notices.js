// What went wrong, in the server's own words, above the page.

import * as api from "./api.js";
import { el } from "./dom.js";

const place = () => document.getElementById("notices");

/** Show a refusal until it is dismissed; the same one is shown once, until all are cleared. */
export function told(refusal) {
  const title = refusal.code && refusal.status ? `${refusal.code} (${refusal.status})` : "";
  const key = `${title} ${refusal.message}`;
  if ([...place().children].some((each) => each.told === key)) return;
  const mayHelp = [401, 403].includes(refusal.status) && !api.credentials();
  const notice = el("div", { class: "notice" },
    el("div", { class: "words" },
      title && el("strong", {}, title),
      refusal.message.split(/^```$/m).map((part, at) => part.trim() && el(at % 2 ? "pre" : "p", {}, part.trim())),
      refusal.details && el("details", {}, el("summary", {}, "More"), el("pre", {}, refusal.details))),
    mayHelp && el("button", { type: "button", onclick: () => document.getElementById("sign-in").showModal() }, "Sign in"),
    el("button", { type: "button", onclick: () => { notice.hidden = true; } }, "Dismiss"));
  notice.told = key;
  notice.lost = refusal.status === 0;
  place().append(notice);
}

/** Take away what was told; with `lost`, only that nothing answered. */
export function clear({ lost = false } = {}) {
  for (const each of [...place().children]) if (!lost || each.lost) each.remove();
}
