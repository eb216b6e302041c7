// Pages on clients: all of them, one of them, and a new one, which may be for a program that waits for it on this machine.

import * as api from "./api.js";
import { badge, button, copyable, el, empty, facts, section, table } from "./dom.js";
import * as forms from "./forms.js";
import { paged, whenever } from "./lists.js";
import { clear, told } from "./notices.js";
import * as scopes from "./scopes.js";
import { clientPrefix } from "./session.js";
import { ago } from "./times.js";

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const at = (clientId) => api.path`clients/${clientId}`;
const here = (clientId) => `/auth/clients/${encodeURIComponent(clientId)}`;

export function clients(main, id) {
  if (id === undefined) return listed(main);
  if (id === "create") return created(main);
  return new ClientPage(main, id).start();
}

function listed(main) {
  document.title = "Clients";
  const found = section("Clients", { wide: true });
  const prefix = forms.line("prefix", "", { type: "search", placeholder: "Client ID begins with", "aria-label": "Show only clients whose ID begins with" });
  const read = paged(found.place, {
    service: "auth", route: "clients/", listed: "clients", nothing: "There is no such client.",
    rows: (all) => table("Clients", ["Client ID", "State", "Last used", "Expires"], all.map((each) => [
      el("a", { href: here(each.clientId) }, each.clientId), state(each), ago(each.lastDateUsed), ago(each.expires)])),
  });
  prefix.addEventListener("change", () => read({ prefix: prefix.value.trim() }));
  main.replaceChildren(
    el("div", { class: "head" }, el("h1", {}, "Clients"), el("a", { class: "button main", href: "/auth/clients/create" }, "Create a client")),
    el("p", { class: "lead" }, "Whoever signs requests, and with which scopes."), el("div", { class: "card filter" }, prefix), found.element);
  return whenever(() => read({ prefix: prefix.value.trim() }));
}

function state(client) {
  if (client.disabled) return badge("failed", "disabled");
  return new Date(client.expires) < new Date() ? badge("unknown", "expired") : badge("completed", "enabled");
}

function definition(fields) {
  return {
    description: fields.description.value, expires: forms.moved(fields.expires),
    deleteOnExpiration: fields.deleteOnExpiration.checked, scopes: scopes.parsed(fields.scopes.value),
  };
}

function fields({ description, expires, deleteOnExpiration, scopes: held }) {
  return [
    forms.field("Description", forms.area("description", description, { rows: 3 }), "For people, in Markdown."),
    forms.field("Expires", forms.moment("expires", expires), "In your own time."),
    forms.check("Delete the client when it expires", "deleteOnExpiration", deleteOnExpiration),
    forms.field("Scopes", forms.area("scopes", held.join("\n"), { rows: Math.min(20, held.length + 3) }), "One a line. You can give only scopes that you have."),
  ];
}

class ClientPage {
  constructor(main, id) {
    Object.assign(this, { main, id });
    document.title = id;
  }

  start() {
    return whenever(() => this.read());
  }

  async read() {
    try {
      this.show(await api.call("GET", "auth", at(this.id)));
    } catch (refusal) {
      this.main.replaceChildren(el("h1", {}, this.id), empty("There is nothing to show. ", el("a", { href: "/auth/clients" }, "All clients")));
      told(refusal);
    }
  }

  show(client, token = null) {
    const own = client.clientId.startsWith("static/");
    const about = section("Client");
    about.place.replaceChildren(
      facts([["State", state(client)], ["Created", ago(client.created)], ["Changed", ago(client.lastModified)], ["Last used", ago(client.lastDateUsed)],
        ["New token", ago(client.lastRotated)], ["Expires", ago(client.expires)], ["At its end", client.deleteOnExpiration ? "it is deleted" : "it stays, and can do nothing"]]),
      ...(own ? [empty("It comes from the configuration, and can be changed only there.")] : [el("p", { class: "buttons group-buttons" },
        client.disabled ? button("Enable", () => this.act("enable")) : button("Disable", () => this.act("disable")),
        forms.danger("Reset access token", "Make a new access token? The old one stops working at once.", () => this.act("reset")),
        forms.danger("Delete", `Delete the client ${client.clientId}?`, () => this.remove()))]));
    const all = section("Expanded scopes");
    all.place.replaceChildren(scopes.list(client.expandedScopes));
    const change = section(own ? "Definition" : "Change");
    change.place.replaceChildren(own
      ? facts([["Description", client.description], ["Scopes", scopes.list(client.scopes)]])
      : forms.form("Save", async (given) => {
        this.show(await api.call("POST", "auth", at(this.id), { body: definition(given) }));
      }, ...fields(client)));
    this.main.replaceChildren(
      el("h1", {}, client.clientId), el("p", { class: "description" }, client.description), token && fresh(client.clientId, token),
      el("div", { class: "columns" }, el("div", {}, change.element), el("div", {}, about.element, all.element)));
  }

  async act(action) {
    clear();
    try {
      const client = await api.call("POST", "auth", `${at(this.id)}/${action}`);
      this.show(client, client.accessToken ?? null);
    } catch (refusal) {
      told(refusal);
    }
  }

  async remove() {
    clear();
    try {
      await api.call("DELETE", "auth", at(this.id));
      location.assign("/auth/clients");
    } catch (refusal) {
      told(refusal);
    }
  }
}

/** An access token, which is shown this once. */
function fresh(clientId, token) {
  return el("section", { class: "card fresh" }, el("h2", {}, "Access token"),
    el("p", {}, "It is shown only now. Whoever has it can do what the client can."),
    facts([["Client ID", copyable(clientId)], ["Access token", copyable(token)]]));
}

async function created(main) {
  document.title = "Create a client";
  const query = new URLSearchParams(location.search);
  const callback = query.get("callback_url");
  if (callback !== null && !loopback(callback)) {
    main.replaceChildren(el("h1", {}, "Create a client"), empty("Nothing was created."));
    return told(new api.Refusal(0, "", `The page that led here wants the credentials sent to “${callback}”. They are sent only to programs on this machine, at http://localhost.`));
  }
  return whenever(() => draft(main, query, callback).catch(told));
}

/** The callback as a URL, when it leads to this very machine; else null. */
function loopback(text) {
  const url = URL.canParse(text) ? new URL(text) : null;
  const sound = url && ["http:", "https:"].includes(url.protocol) && LOOPBACK.includes(url.hostname) && !url.username && !url.password;
  return sound ? url : null;
}

async function draft(main, query, callback) {
  const signed = api.credentials();
  if (!signed) {
    main.replaceChildren(el("h1", {}, callback ? "Sign in for a program" : "Create a client"), empty("Sign in first: clients are made in someone's name, with scopes that they have."));
    if (!document.getElementById("sign-in").open) document.getElementById("sign-in").showModal();
    return;
  }
  const { scopes: have } = await api.call("GET", "auth", "scopes/current");
  const asked = query.getAll("scope");
  const given = callback ? scopes.common(asked, have) : asked;
  const start = {
    description: query.get("description") ?? "", deleteOnExpiration: true, scopes: given,
    expires: forms.fromNow(query.get("expires")) ?? forms.fromNow("1 year"),
  };
  const id = callback ? `${clientPrefix()}${query.get("name") ?? "cli"}` : query.get("client_id") ?? clientPrefix();
  const name = forms.line("clientId", id, { required: true, pattern: "[A-Za-z0-9!@/:.+|_\\-]+" });
  const made = forms.form(callback ? "Create and sign in" : "Create", async (elements) => {
    const clientId = elements.clientId.value.trim();
    const reply = await api.call("PUT", "auth", at(clientId), { body: definition(elements) });
    if (callback) return sendBack(callback, reply);
    history.replaceState(null, "", here(clientId));
    return new ClientPage(main, clientId).show(reply, reply.accessToken);
  }, forms.field("Client ID", name, `Letters, digits and ! @ / : . + | _ -, such as ${clientPrefix()}laptop`), ...fields(start));
  main.replaceChildren(el("h1", {}, callback ? "Sign in for a program" : "Create a client"), callback ? caution(callback, signed.clientId) : "", el("section", { class: "card" }, made));
}

function caution(callback, clientId) {
  return el("p", { class: "description" },
    "A program on this machine, at ", el("code", {}, new URL(callback).origin), ", asks for credentials of yours. You are signed in as ", el("code", {}, clientId),
    ". Go on only if you have just started it, as with ", el("code", {}, "taskcluster signin"), ". Narrow the scopes to what it needs.");
}

function sendBack(callback, { clientId, accessToken }) {
  const url = new URL(callback);
  url.searchParams.set("clientId", clientId);
  url.searchParams.set("accessToken", accessToken);
  location.replace(url);
}
