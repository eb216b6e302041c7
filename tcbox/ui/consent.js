// A web tool asks for credentials, and the user says whether it may have them, which, and for how long.

import * as api from "./api.js";
import { el, empty, facts } from "./dom.js";
import * as forms from "./forms.js";
import { told } from "./notices.js";
import * as scopes from "./scopes.js";
import * as session from "./session.js";
import { ago } from "./times.js";

export function consent(main) {
  document.title = "Sign in for a tool";
  const query = new URLSearchParams(location.search);
  const asked = query.get("transactionID");
  if (asked) return show(main, asked);
  if (!query.get("redirect_uri") || !query.get("client_id")) {
    main.replaceChildren(el("h1", {}, "Sign in for a tool"), empty("This address says of no tool that asks. Begin at the tool that sent you here."));
    return undefined;
  }
  if (session.found.session) return location.replace(`/login/oauth/authorize${location.search}`);
  return signInFirst(main, query);
}

function signInFirst(main, query) {
  const ways = session.ways(`/third-party${location.search}`);
  const entered = api.credentials() && empty("You entered credentials in this tab, which the instance does not know outside of it.");
  main.replaceChildren(el("h1", {}, "Sign in for a tool"),
    el("p", { class: "description" }, "The tool ", el("code", {}, query.get("client_id")), " asks for credentials of yours. Sign in to see which."), entered || "",
    el("section", { class: "card" }, ways.length ? ways : empty("This instance has no sign-in that a tool could use. Its owner can enable services.web_server.")),
    el("p", {}, el("a", { href: location.href }, "I have signed in")));
}

async function show(main, transaction) {
  main.replaceChildren(el("h1", {}, "Sign in for a tool"), empty("Loading…"));
  let asked;
  try {
    asked = await session.login("GET", `oauth/request?${new URLSearchParams({ transaction_id: transaction })}`);
  } catch (refusal) {
    main.replaceChildren(el("h1", {}, "Sign in for a tool"), empty("Nothing was given to anybody."));
    told(refusal);
    return;
  }
  const chosen = forms.area("chosen", asked.scopes.join("\n"), { rows: Math.min(16, asked.scopes.length + 2), id: "chosen" });
  const until = forms.moment("until", asked.until);
  const hidden = (name, value) => el("input", { type: "hidden", name, value });
  const scope = hidden("scope", "");
  const expires = hidden("expires", "");
  const form = el("form", { class: "fields", method: "post", action: "/login/oauth/authorize/decision" },
    hidden("transaction_id", transaction), hidden("page", session.secret()), scope, expires,
    forms.field("Scopes", chosen, "One a line. Remove those that it should not have."),
    asked.missing.length ? el("div", { class: "field" }, "It also asks for these, which you do not have yourself, and so cannot give", scopes.list(asked.missing)) : null,
    forms.field("Until", until, el("span", {}, "In your own time; it asks for credentials that end ", ago(asked.until), ".")),
    el("div", { class: "buttons" },
      el("button", { class: "main", name: "decision", value: "allow" }, "Allow"), el("button", { name: "cancel", value: "1", formnovalidate: true }, "Do not allow")));
  form.addEventListener("submit", () => {
    scope.value = scopes.parsed(chosen.value).join(" ");
    expires.value = Number.isNaN(new Date(until.value).valueOf()) ? "" : forms.moved(until);
    for (const each of [chosen, until]) each.disabled = true;
  });
  main.replaceChildren(el("h1", {}, "Sign in for a tool"),
    el("p", { class: "description" }, "The tool ", el("strong", {}, asked.tool), " at ", el("code", {}, new URL(asked.redirectUri).origin), " asks to act in your name."),
    el("section", { class: "card" }, facts([["You are", session.found.session?.clientId], ["It will be", asked.clientId], ["It sends you to", asked.redirectUri]])),
    el("section", { class: "card" }, form));
}
