// The page of events: what the services announce, as it happens, or as far back as is kept.

import * as api from "./api.js";
import { button, copyable, el, empty, section, taskLink } from "./dom.js";
import { clear, told } from "./notices.js";

const ROWS = 500;
const ID = /^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$/;
const OWN = /^exchange\/taskcluster-(.+)\/v1\/(.+)$/;

export async function events(main) {
  const page = new EventsPage(main);
  await page.lay();
  page.connect();
}

class EventsPage {
  constructor(main) {
    const asked = new URLSearchParams(location.search);
    const [exchange = "", ...pattern] = (asked.get("binding") ?? "").split(":");
    Object.assign(this, { main, last: asked.get("since"), source: null, paused: false, held: [], turn: 0, failures: 0, dropped: 0 });
    this.given = { exchange, pattern: pattern.join(":") };
    document.title = "Events";
  }

  async lay() {
    const names = await exchanges();
    this.exchange = el("select", { "aria-label": "Exchange", onchange: () => this.changed() },
      el("option", { value: "" }, "All exchanges"),
      names.map(([service, own]) => el("optgroup", { label: service },
        el("option", { value: `exchange/taskcluster-${service}/v1/*` }, `all of ${service}`),
        own.map((each) => el("option", { value: `exchange/taskcluster-${service}/v1/${each}` }, each)))));
    this.exchange.value = this.given.exchange;
    if (this.exchange.selectedIndex < 0) this.exchange.value = "";
    this.pattern = el("input", { type: "text", placeholder: "Routing key: # or primary.*.#", "aria-label": "Pattern of routing keys", spellcheck: "false", autocapitalize: "off", onchange: () => this.changed() });
    this.pattern.value = this.given.pattern;
    this.state = el("span", { class: "badge pending", role: "status" }, "connecting");
    this.pause = button("Pause", () => this.hold());
    const bar = el("form", { class: "filter", onsubmit: (event) => { event.preventDefault(); this.changed(); } },
      this.state, this.exchange, this.pattern, this.pause,
      button("From the oldest", () => { this.last = "0"; this.fresh(); }), button("Clear", () => this.wipe()));
    const found = section("Events", { wide: true });
    this.place = el("ol", { class: "events", "aria-label": "Events, the newest first" });
    this.none = empty("Nothing yet. Events appear as tasks, clients, hooks and the like change.");
    found.place.replaceChildren(this.none, this.place);
    this.command = el("p", { class: "hint" });
    this.main.replaceChildren(el("h1", {}, "Events"), el("p", { class: "lead" }, "What the services announce, as it happens."), bar, found.element, this.command);
    addEventListener("signed-in", () => this.fresh());
  }

  query() {
    const query = new URLSearchParams();
    const exchange = this.exchange.value || (this.pattern.value.trim() ? "*" : "");
    if (exchange) query.set("binding", `${exchange}:${this.pattern.value.trim() || "#"}`);
    return query;
  }

  /** The filter is another one: what is shown goes, and what fits comes. */
  changed() {
    this.wipe();
    this.last = null;
    this.fresh();
  }

  fresh() {
    this.failures = 0;
    clear();
    history.replaceState(null, "", `/events${[...this.query()].length ? `?${this.query()}` : ""}`);
    this.connect();
  }

  async connect() {
    this.turn += 1;
    const turn = this.turn;
    this.source?.close();
    const query = this.query();
    this.command.replaceChildren("In a shell: ", copyable(`tcbox events${query.get("binding") ? ` --binding '${query.get("binding")}'` : ""}`));
    if (this.last !== null) query.set("since", this.last);
    const url = new URL("/events", location.origin);
    url.search = query;
    const address = await api.readable(url);
    if (turn !== this.turn) return;
    const source = new EventSource(address);
    this.source = source;
    source.addEventListener("ready", (event) => {
      this.failures = 0;
      this.last = event.lastEventId;
      clear({ lost: true });
      this.tell("completed", "live");
    });
    source.addEventListener("gap", (event) => this.gap(JSON.parse(event.data)));
    source.addEventListener("message", (event) => {
      this.last = event.lastEventId;
      this.take(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      this.tell("pending", "connecting");
      if (source.readyState === EventSource.CLOSED && turn === this.turn) this.refused(address, turn);
    });
  }

  /** The browser has given up, and does not say why: ask once more, in a way that tells. */
  async refused(address, turn) {
    this.failures += 1;
    const stop = new AbortController();
    try {
      const reply = await fetch(address, { signal: stop.signal, credentials: "omit", cache: "no-store", headers: { Accept: "text/event-stream" } });
      if (reply.status === 410) {
        const kept = await reply.json();
        this.gap({ asked: this.last, oldest: kept.oldest });
        this.last = kept.since;
      } else if (!reply.ok && reply.status < 500 && this.failures > 1) {
        const body = await reply.json();
        this.tell("failed", "refused");
        told(new api.Refusal(reply.status, body.code, body.message));
        return;
      }
    } catch (error) {
      if (this.failures > 1) told(new api.Refusal(0, "NoAnswer", `Nothing answers at ${location.origin} (${error.message}). Is the instance running?`));
    } finally {
      stop.abort();
    }
    setTimeout(() => { if (turn === this.turn) this.connect(); }, Math.min(500 * 2 ** this.failures, 15_000));
  }

  gap({ asked, oldest }) {
    this.show(el("li", { class: "gap" }, `Events after ${asked} are missing: the oldest that is kept is ${oldest}.`));
  }

  take(event) {
    if (!this.paused) return this.show(row(event));
    this.held.push(event);
    if (this.held.length > ROWS) {
      this.held.shift();
      this.dropped += 1;
    }
    return this.label();
  }

  hold() {
    this.paused = !this.paused;
    if (!this.paused) {
      if (this.dropped) this.show(el("li", { class: "gap" }, `${this.dropped} events are not shown.`));
      for (const event of this.held) this.show(row(event));
      Object.assign(this, { held: [], dropped: 0 });
    }
    this.label();
  }

  label() {
    this.pause.textContent = this.paused ? `Go on (${this.held.length + this.dropped})` : "Pause";
  }

  show(element) {
    this.none.hidden = true;
    this.place.prepend(element);
    while (this.place.children.length > ROWS) this.place.lastElementChild.remove();
  }

  wipe() {
    this.place.replaceChildren();
    Object.assign(this, { held: [], dropped: 0 });
    this.none.hidden = false;
    this.label();
  }

  tell(state, text) {
    this.state.className = `badge ${state}`;
    this.state.textContent = text;
  }
}

/** Services and the names of their exchanges. */
async function exchanges() {
  const { references } = await api.plain("/references/manifest.json");
  const made = references.filter((path) => path.endsWith("/exchanges.json")).map(async (path) => {
    const reference = await api.plain(path);
    return [reference.serviceName, reference.entries.map((each) => each.exchange)];
  });
  return (await Promise.all(made)).sort();
}

function row(event) {
  const [, service, name] = event.exchange.match(OWN) ?? [null, "", event.exchange];
  const words = event.routingKey.split(".").filter((word, at, all) => !["_", "-", "primary"].includes(word) && all.indexOf(word) === at);
  const body = el("details", { ontoggle: ({ target }) => {
    if (target.open && target.children.length === 1) target.append(el("pre", { class: "source" }, JSON.stringify(event, null, 2)));
  } }, el("summary", { "aria-label": `Whole event ${event.id}` }, "more"));
  return el("li", {},
    el("span", { class: "when", title: event.time }, event.time.slice(11, 23)),
    el("span", { class: "what", title: event.exchange }, el("span", { class: "kind" }, service), " ", name),
    el("span", { class: "words" }, words.map((word) => [ID.test(word) ? taskLink(word) : el("code", {}, word), " "]), event.cc.map((key) => [el("code", { class: "route" }, key), " "])),
    body);
}
