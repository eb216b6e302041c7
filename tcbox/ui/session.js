// The sign-in that this browser has with the instance, which pages of all tabs share, and how one can sign in.

import * as api from "./api.js";
import { el, empty } from "./dom.js";
import { told } from "./notices.js";

/** What was found when the page began: {session: {clientId, clientPrefix, expires} or null, methods: {github, link}}. */
export let found = { session: null, methods: {} };

const STORED = "tcbox.page";

/**
 * What the pages of this origin have and show, so that the sign-in's cookie, which servers at other ports of this host
 * get to see, is of no use to them; empty until one signs in.
 */
export function secret() {
  return localStorage.getItem(STORED) ?? "";
}

/** The digest of that secret, to be told at a sign-in; without one where the browser gives none, over plain HTTP from another machine. */
async function digest() {
  if (!globalThis.crypto?.subtle) return {};
  if (!secret()) localStorage.setItem(STORED, crypto.randomUUID() + crypto.randomUUID());
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret())));
  return { page: Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("") };
}

/** Call what is below /login/. Throws Refusal. */
export async function login(method, route, body) {
  const headers = { ...(body === undefined ? {} : { "Content-Type": "application/json" }), "X-Tcbox-Page": secret() };
  const text = body === undefined ? undefined : JSON.stringify(body);
  return api.read(await api.reach(new URL(`/login/${route}`, location.origin), { method, headers, body: text, credentials: "same-origin", cache: "no-store" }));
}

/** Ask who is signed in. An instance without the web-server service knows nobody. */
export async function find() {
  try {
    found = await login("GET", "session");
  } catch (refusal) {
    if (refusal.status !== 404) told(refusal);
  }
  return found;
}

/** What the ids of clients begin with that whoever is signed in makes for themselves. */
export function clientPrefix() {
  return `${api.credentials()?.clientId.replace(/^static\//, "") ?? "me"}/`;
}

/** The ways to sign in beside pasting credentials; `next` is where one comes back to. */
export function ways(next) {
  const { github, link } = found.methods;
  const there = github && el("a", { class: "button main", href: `/login/github?${new URLSearchParams({ next })}` }, "Continue with GitHub");
  if (there) there.addEventListener("click", (event) => {
    event.preventDefault();
    digest().then((bound) => location.assign(`/login/github?${new URLSearchParams({ next, ...bound })}`), told);
  });
  return [
    there && el("p", {}, there),
    link && el("p", { class: "hint" }, "The owner of the instance signs in with the command ", el("code", {}, "tcbox ui"), " on the machine that it runs on."),
  ].filter(Boolean);
}

/** Sign in by the link that led here: what is behind its # is sent once, and never stands in the history. */
export async function byLink(main) {
  document.title = "Sign in";
  const code = location.hash.slice(1);
  history.replaceState(null, "", "/sign-in");
  main.replaceChildren(el("h1", {}, "Sign in"), empty("Signing in…"));
  try {
    await login("POST", "link", { code, ...await digest() });
    sessionStorage.clear();
    location.replace("/");
  } catch (refusal) {
    main.replaceChildren(el("h1", {}, "You are not signed in"), empty("Nothing has changed. ", el("a", { href: "/" }, "To the start page")));
    told(refusal);
  }
}
