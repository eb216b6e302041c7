// Elements of the page. Data only ever becomes text or checked attributes, never markup.

/** An element; `on…` attributes are listeners, null and false leave an attribute or child out. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Put children into a place, but only when `data` differs from the last time, so that focus and selection stay. */
export function show(place, data, make) {
  const key = JSON.stringify(data);
  if (place.shown === key) return;
  place.shown = key;
  const focused = place.contains(document.activeElement) ? (document.activeElement.href ?? document.activeElement.textContent) : null;
  place.replaceChildren(...[make()].flat(9).filter(Boolean));
  if (focused) [...place.querySelectorAll("a,button")].find((each) => (each.href ?? each.textContent) === focused)?.focus();
}

/** A part of the page with a heading and a place to fill. */
export function section(title, { id, wide } = {}) {
  const place = el("div", { class: "content" }, el("p", { class: "empty" }, "Loading…"));
  const heading = el("h2", id ? { id } : {}, title);
  return { place, heading, element: el("section", { class: wide ? "card wide" : "card" }, heading, place) };
}

export function empty(...children) {
  return el("p", { class: "empty" }, ...children);
}

/** Pairs of a term and what it is; pairs without a value are left out. */
export function facts(pairs) {
  const kept = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, kept.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}

/** A table that scrolls by itself on narrow screens. */
export function table(caption, heads, rows) {
  const head = el("tr", {}, heads.map((each) => el("th", { scope: "col" }, each)));
  const body = rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head), el("tbody", {}, body)));
}

export const STATES = ["running", "pending", "unscheduled", "exception", "failed", "completed"];

/** A state as a word with a colour. */
export function badge(state, text = state) {
  return el("span", { class: `badge ${STATES.includes(state) ? state : "unknown"}` }, text);
}

export function taskLink(taskId, name) {
  return el("a", { href: `/tasks/${encodeURIComponent(taskId)}` }, name || el("code", {}, taskId));
}

export function poolLink(workerPoolId) {
  return el("a", { href: `/worker-manager/${encodeURIComponent(workerPoolId)}` }, el("code", {}, workerPoolId));
}

export function groupLink(taskGroupId) {
  return el("a", { href: `/groups/${encodeURIComponent(taskGroupId)}` }, el("code", {}, taskGroupId));
}

/** A link to a path of the index, "" for its root. */
export function indexLink(path, text) {
  return el("a", { href: `/index/${encodeURIComponent(path)}` }, text);
}

/** A link to an address that others chose, or its text when no browser should follow it. */
export function outward(text) {
  const sound = URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol);
  return sound ? el("a", { href: text, rel: "noopener noreferrer" }, text) : String(text);
}

/** A button that does something that may take a moment. */
export function button(text, act, attributes = {}) {
  const made = el("button", { type: "button", ...attributes, onclick: async () => {
    made.disabled = true;
    try {
      await act(made);
    } finally {
      made.disabled = false;
    }
  } }, text);
  return made;
}

/** Words to be copied, with the button for it. */
export function copyable(text) {
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(copy.previousSibling);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  }, { class: "small", "aria-label": `Copy ${text}` });
  return el("span", { class: "copyable" }, el("code", {}, text), copy);
}
