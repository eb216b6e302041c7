// The page around the pages: which one the address asks for, opening by ID, and signing in.

import * as api from "./api.js";
import { el } from "./dom.js";
import { clear, told } from "./notices.js";

const ID = /[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]/;
const byId = (id) => document.getElementById(id);

async function page() {
  const main = byId("main");
  const [kind, id, ...rest] = location.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  if (kind === undefined) return (await import("./start.js")).start(main);
  if (kind === "index" || id === "index") return (await import("./browse.js")).browse(main, (kind === "index" ? [id ?? "", ...rest] : rest).filter(Boolean).join("."));
  if (kind === "groups" || id === "groups") return (await import("./group.js")).group(main, kind === "groups" ? id : rest[0]);
  return (await import("./task.js")).task(main, id, rest[0] === "runs" ? Number(rest[1]) : null);
}

async function open(event) {
  event.preventDefault();
  clear();
  const given = byId("open-id").value.trim();
  const id = given.match(ID)?.[0];
  if (!id) return told(new api.Refusal(0, "", `“${given}” holds no ID of a task or task group: these have 22 letters, digits, - and _.`));
  const at = api.path`${id}`;
  try {
    await api.call("GET", "queue", `task/${at}/status`);
    location.assign(`/tasks/${at}`);
  } catch (refusal) {
    try {
      await api.call("GET", "queue", `task-group/${at}`);
      location.assign(`/groups/${at}`);
    } catch {
      told(refusal);
    }
  }
}

function who() {
  const signed = api.credentials();
  const act = signed ? leave : () => byId("sign-in").showModal();
  const name = signed && el("span", { class: "client", title: signed.clientId }, signed.clientId);
  byId("who").replaceChildren(...[name, el("button", { type: "button", onclick: act }, signed ? "Sign out" : "Sign in")].filter(Boolean));
}

function leave() {
  api.signOut();
  who();
}

async function enter(event) {
  event.preventDefault();
  const refusal = byId("sign-in-refusal");
  refusal.textContent = "";
  try {
    const given = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
    if (given.certificate) given.certificate = JSON.parse(given.certificate);
    await api.signIn(given);
  } catch (error) {
    refusal.textContent = error instanceof SyntaxError ? `The certificate is no JSON: ${error.message}` : error.message;
    return;
  }
  event.target.reset();
  byId("sign-in").close();
  clear();
  who();
  dispatchEvent(new Event("signed-in"));
}

byId("open").addEventListener("submit", open);
byId("sign-in-form").addEventListener("submit", enter);
byId("sign-in-close").addEventListener("click", () => byId("sign-in").close());
who();
page().catch(told);
