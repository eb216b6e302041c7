// Calls of the instance's API, signed when someone has signed in, and the refusals that come back.

import * as hawk from "./hawk.js";
import * as sessions from "./session.js";

const STORED = "tcbox.credentials";

/** What the instance, or the way to it, answered instead of what was asked for. */
export class Refusal extends Error {
  constructor(status, code, message) {
    const [said, ...details] = message.split("\n---\n");
    super(said.trim());
    Object.assign(this, { status, code, details: details.join("\n---\n").trim() });
  }
}

/**
 * The credentials of this tab, or null: {clientId, accessToken, certificate?}, and, when they come from a sign-in that the
 * instance knows, {session, expires}.
 */
export function credentials() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED));
  } catch {
    return null;
  }
}

/** Check credentials with the instance, and keep them for this tab. Throws Refusal. */
export async function signIn(given) {
  if (hawk.unable()) throw new Refusal(0, "NoSignature", hawk.unable());
  await call("GET", "auth", "scopes/current", { as: given });
  sessionStorage.setItem(STORED, JSON.stringify(given));
}

const tabs = new BroadcastChannel("tcbox.sign-in");

/** Forget the credentials of this tab, and end the sign-in that they come from, in all tabs. */
export async function signOut() {
  const known = credentials();
  sessionStorage.removeItem(STORED);
  if (!known?.session) return;
  tabs.postMessage("out");
  await sessions.login("POST", "logout");
}

tabs.onmessage = () => {
  if (!credentials()?.session) return;
  sessionStorage.removeItem(STORED);
  dispatchEvent(new Event("signed-out"));
};

/** The credentials for the next call; those of a sign-in are renewed before they end. */
export async function current() {
  const known = credentials();
  if (!known?.session || Date.parse(known.expires) - Date.now() > 60_000) return known;
  return renewed();
}

let renewing = null;

/** New credentials of the sign-in that the browser has; null when it has none any more. */
export function renewed() {
  renewing ??= renew().finally(() => { renewing = null; });
  return renewing;
}

async function renew() {
  try {
    const made = { ...await sessions.login("POST", "credentials"), session: true };
    sessionStorage.setItem(STORED, JSON.stringify(made));
    return made;
  } catch (refusal) {
    if (refusal.status !== 401) throw refusal;
    sessionStorage.removeItem(STORED);
    dispatchEvent(new Event("signed-out"));
    return null;
  }
}

/** Find out, once a page, who is signed in with this browser and how one can; what fails here is told by `session.js`. */
export async function restore() {
  const found = await sessions.find();
  const known = credentials();
  if (known && !known.session) return;
  if (!found.session) sessionStorage.removeItem(STORED);
  else if (hawk.unable()) throw new Refusal(0, "NoSignature", hawk.unable());
  else if (known?.clientId !== found.session.clientId || Date.parse(known.expires) - Date.now() < 60_000) await renewed();
}

/** A path whose inserted parts are encoded. */
export function path(parts, ...values) {
  return parts.reduce((made, part, at) => made + encodeURIComponent(values[at - 1]) + part);
}

/** The URL of an API method, as a URL object. */
export function address(service, route, query = {}) {
  const url = new URL(`/api/${service}/v1/${route}`, location.origin);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return url;
}

/** Call an API method and give the reply's JSON, or with `raw` its text; `text` is a body that is JSON already. Throws Refusal. */
export async function call(method, service, route, { body, text = body === undefined ? undefined : JSON.stringify(body), query, as, raw = false } = {}) {
  const url = address(service, route, query);
  const who = as ?? await current();
  const headers = text === undefined ? {} : { "Content-Type": "application/json" };
  if (who) headers.Authorization = await hawk.header(who, method, url, text);
  const reply = await reach(url, { method, headers, body: text, credentials: "omit", cache: "no-store" });
  return raw && reply.ok ? reply.text() : read(reply);
}

/** All items of a list that comes in pages; `found` is shown each page. */
export async function all(method, service, route, listed, { found = () => {}, ...options } = {}) {
  const items = [];
  let continuationToken;
  do {
    const page = await call(method, service, route, { ...options, query: { continuationToken } });
    items.push(...page[listed]);
    found(page);
    continuationToken = page.continuationToken;
  } while (continuationToken);
  return items;
}

/** JSON from a plain path of the instance; a status of failure is an answer like any other. */
export async function plain(route) {
  return (await reach(new URL(route, location.origin), { cache: "no-store" })).json();
}

/** An address under which the browser can GET what the caller may see. */
export async function readable(url) {
  const who = await current();
  return who ? hawk.presigned(who, url) : String(url);
}

/** Fetch an artifact, wherever its bytes are. Throws Refusal. */
export async function download(url, signal) {
  const reply = await reach(await readable(url), { signal, credentials: "omit", cache: "no-store" });
  if (!reply.ok) await read(reply);
  return reply;
}

export async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "NoAnswer", `Nothing answers at ${new URL(url).origin} (${error.message}). Is the instance running?`);
  }
}

export async function read(reply) {
  const text = await reply.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : {};
  } catch {
    // told below, with the status
  }
  if (reply.ok && json !== null) return json;
  const words = reply.headers.get("Content-Type")?.startsWith("text/plain") ? text.slice(0, 1000) : "";
  const message = json?.message || words || `The answer from ${new URL(reply.url).origin} has the status ${reply.status} and is no JSON.`;
  throw new Refusal(reply.status, json?.code ?? json?.reason ?? "", String(message));
}
