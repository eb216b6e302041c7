// The page around the pages: which one the address asks for, opening by ID, and signing in.

import * as api from "./api.js";
import { el } from "./dom.js";
import { clear, told } from "./notices.js";
import * as session from "./session.js";

const ID = /[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]/;
const byId = (id) => document.getElementById(id);

async function page() {
  const main = byId("main");
  const [kind, id, ...rest] = location.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  if (kind === undefined) return (await import("./start.js")).start(main);
  if (kind === "auth" && id === "clients") return (await import("./clients.js")).clients(main, rest[0]);
  if (kind === "auth" && id === "roles") return (await import("./roles.js")).roles(main, rest[0]);
  if (kind === "secrets") return (await import("./secrets.js")).secrets(main, id);
  if (kind === "account") return (await import("./account.js")).account(main);
  if (kind === "third-party") return (await import("./consent.js")).consent(main);
  if (kind === "sign-in") return (await import("./session.js")).byLink(main);
  if (kind === "groups" && rest[0] === "profiler") return (await import("./profiler.js")).groupProfile(main, id);
  if (id === "groups" && rest[1] === "profiler") return (await import("./profiler.js")).groupProfile(main, rest[0]);
  if (kind === "tasks" && rest[0] === "profiler") return (await import("./profiler.js")).taskProfile(main, id);
  if (kind === "shell") return (await import("./shell.js")).shell(main);
  if (kind === "events") return (await import("./events.js")).events(main);
  if (kind === "index" || id === "index") return (await import("./browse.js")).browse(main, (kind === "index" ? [id ?? "", ...rest] : rest).filter(Boolean).join("."));
  if (kind === "hooks") return (await import("./hooks.js"))[rest.length ? "hook" : "hooks"](main, id, rest.join("/"));
  if (kind === "worker-manager" && id === undefined) return (await import("./pools.js")).pools(main);
  if (kind === "worker-manager") return (await import("./pool.js")).pool(main, [id, ...rest].join("/").split("/").slice(0, 2).join("/"));
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
  const name = signed && el("a", { class: "client", href: "/account", title: `${signed.clientId}: what you may do, and until when` }, signed.clientId);
  byId("who").replaceChildren(...[name, el("button", { type: "button", onclick: act }, signed ? "Sign out" : "Sign in")].filter(Boolean));
}

function leave() {
  api.signOut().catch(told).finally(() => {
    who();
    dispatchEvent(new Event("signed-out"));
  });
}

function ways() {
  byId("sign-in-ways").replaceChildren(...session.ways(location.pathname + location.search));
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
addEventListener("signed-out", who);
addEventListener("signed-in", who);
who();
api.restore().catch(told).finally(() => {
  who();
  ways();
  page().catch(told);
});
