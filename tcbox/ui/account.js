// Who is signed in, how, until when, and with which scopes.

import * as api from "./api.js";
import { copyable, el, empty, facts, section } from "./dom.js";
import { whenever } from "./lists.js";
import { told } from "./notices.js";
import * as scopes from "./scopes.js";
import * as session from "./session.js";
import { ago } from "./times.js";

export function account(main) {
  document.title = "Your sign-in";
  return whenever(() => shown(main).catch(told));
}

async function shown(main) {
  const signed = await api.current();
  const may = section("Scopes", { wide: true });
  const about = section("Sign-in");
  main.replaceChildren(el("h1", {}, signed ? "Your sign-in" : "You are not signed in"), el("div", { class: "grid" }, about.element, may.element));
  about.place.replaceChildren(...(signed ? tells(signed) : [empty("You may do what everybody may. Sign in to do more."), ...session.ways("/account")]));
  may.heading.textContent = signed ? "What you may do" : "What everybody may do";
  const { scopes: have } = await api.call("GET", "auth", "scopes/current");
  may.place.replaceChildren(scopes.list(have));
}

function tells({ clientId, session: known, certificate, expires }) {
  const until = known ? session.found.session?.expires : certificate && new Date(certificate.expiry).toISOString();
  return [
    facts([
      ["Client ID", copyable(clientId)],
      ["How", known ? "with this browser, in all of its tabs" : "with credentials that were entered in this tab"],
      ["Until", until ? ago(until) : "you sign out, or close this tab"],
      ["Credentials", known && el("span", {}, "renewed by themselves, the next time ", ago(expires))],
    ]),
    el("h3", {}, "On the command line"), copyable("eval \"$(taskcluster signin)\""),
  ];
}
