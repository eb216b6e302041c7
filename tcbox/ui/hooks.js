// The pages of hooks: all of them by group, and one with its definition, what it did, and what makes it fire.

import * as api from "./api.js";
import { badge, button, copyable, el, empty, facts, section, show, table, taskLink } from "./dom.js";
import { clear, told } from "./notices.js";
import { poll } from "./poll.js";
import { ago } from "./times.js";

const OPEN_AT_ONCE = 10;
const FIRES = 100;
const BY = { schedule: "schedule", triggerHook: "call", triggerHookWithToken: "token", pulseMessage: "message" };

const place = (group, id) => (id === undefined ? api.path`/hooks/${group}` : api.path`/hooks/${group}/${id}`);

/** The list of all hooks, or of those of one group. */
export function hooks(main, only) {
  document.title = only ? `Hooks of ${only}` : "Hooks";
  const found = el("div");
  const name = el("input", { type: "search", placeholder: "Group or name", "aria-label": "Show only hooks whose group or name has", oninput: () => sift(found, name.value) });
  main.replaceChildren(el("h1", {}, document.title), el("p", { class: "lead" }, "Templates of tasks, and what creates tasks from them."),
    el("div", { class: "card filter" }, name), found);
  poll(async () => {
    const groups = only ? [only] : (await api.call("GET", "hooks", "hooks")).groups;
    show(found, groups, () => (groups.length ? groups.map((group) => part(group, groups.length <= OPEN_AT_ONCE)) : empty(
      "There is no hook yet. Make one with the method createHook of the hooks service, as clients and tc-admin do.")));
    sift(found, name.value);
    return 10_000;
  });
}

function part(group, open) {
  const content = el("div", { class: "content" }, empty("Loading…"));
  const made = el("details", { class: "card", open, "data-group": group }, el("summary", {}, el("strong", {}, group)), content);
  const load = async () => {
    if (!made.open || made.loaded) return;
    made.loaded = true;
    try {
      const { hooks: listed } = await api.call("GET", "hooks", api.path`hooks/${group}`);
      content.replaceChildren(table(`Hooks of ${group}`, ["Hook", "What it is", "Fires by"], listed.map((hook) => [
        el("a", { href: place(group, hook.hookId) }, hook.hookId), el("span", { title: hook.metadata.description }, hook.metadata.name), causes(hook),
      ])));
    } catch (refusal) {
      made.loaded = false;
      content.replaceChildren(empty("These could not be read."));
      told(refusal);
    }
  };
  made.addEventListener("toggle", load);
  load();
  return made;
}

function causes({ schedule, bindings }) {
  const list = [schedule.length && "schedule", bindings?.length && "messages", "calls"].filter(Boolean);
  return list.join(", ");
}

function sift(found, text) {
  const wanted = text.trim().toLowerCase();
  for (const each of found.querySelectorAll("[data-group]")) {
    const inGroup = each.dataset.group.toLowerCase().includes(wanted);
    let some = inGroup;
    for (const row of each.querySelectorAll("tbody tr")) {
      const fits = inGroup || row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      some ||= fits;
    }
    each.hidden = !some;
  }
}

/** One hook. */
export function hook(main, group, id) {
  const page = new HookPage(main, group, id);
  page.refresh = poll(() => page.step());
}

class HookPage {
  constructor(main, group, id) {
    Object.assign(this, { main, group, id, at: api.path`hooks/${group}/${id}`, laid: false });
    document.title = `${group}/${id}`;
    main.replaceChildren(el("h1", {}, `${group}/${id}`), empty("Loading…"));
  }

  async step() {
    let hook;
    try {
      hook = await api.call("GET", "hooks", this.at);
    } catch (refusal) {
      if (!this.laid) this.main.replaceChildren(el("h1", {}, "Hook ", el("code", {}, `${this.group}/${this.id}`)), empty("There is nothing to show. ", el("a", { href: "/hooks" }, "To all hooks")));
      throw refusal;
    }
    if (!this.laid) this.lay(hook);
    show(this.facts.place, hook, () => this.about(hook));
    show(this.source.place, hook, () => this.definition(hook));
    const [status, fires] = await Promise.all([api.call("GET", "hooks", `${this.at}/status`), this.fired()]);
    show(this.state, [status, hook.schedule], () => this.heading(status));
    show(this.fires.place, fires, () => this.list(fires));
    return fires.some(({ taskState }) => ["unscheduled", "pending", "running"].includes(taskState)) ? 3000 : 5000;
  }

  lay(hook) {
    this.laid = true;
    clear();
    Object.assign(this, { state: el("div", { class: "state" }), facts: section("Hook"), fires: section("Last fires"), source: section("Definition"), trigger: section("Trigger") });
    this.trigger.place.replaceChildren(this.form(hook));
    this.main.replaceChildren(
      el("h1", {}, hook.metadata.name), el("p", { class: "lead" }, copyable(`${this.group}/${this.id}`)), this.state,
      el("p", { class: "description" }, hook.metadata.description),
      el("div", { class: "columns" },
        el("div", {}, this.fires.element, this.source.element),
        el("div", {}, this.trigger.element, this.facts.element)));
  }

  heading({ lastFire, nextScheduledDate }) {
    const { result, time } = lastFire;
    const last = result === "no-fire" ? badge("unscheduled", "never fired") : badge(result === "success" ? "completed" : "failed", result === "success" ? "fired" : "could not fire");
    return [last, time && el("span", { class: "hint" }, ago(time)), nextScheduledDate && el("span", { class: "hint" }, "fires next ", ago(nextScheduledDate))];
  }

  about({ metadata, schedule, bindings }) {
    return facts([
      ["Group", el("a", { href: place(this.group) }, this.group)], ["Owner", metadata.owner],
      ["On errors", metadata.emailOnError === false ? "nobody is told" : "the owner gets an e-mail"],
      ["Schedule", schedule.length ? el("ul", { class: "rows" }, schedule.map((each) => el("li", {}, el("code", {}, each)))) : "none"],
      ["Messages", bindings?.length ? el("ul", { class: "rows" }, bindings.map((each) => el("li", {}, el("span", {}, el("code", {}, each.exchange), " ", el("code", {}, each.routingKeyPattern))))) : "none"],
      ["Role", el("code", {}, `hook-id:${this.group}/${this.id}`)],
    ]);
  }

  definition({ task, triggerSchema }) {
    return [["Template of the task", task], ["Schema of the payload", triggerSchema]].map(([title, value], at) =>
      el("details", { open: at === 0 }, el("summary", {}, title), el("pre", { class: "source", tabindex: "0" }, JSON.stringify(value, null, 2))));
  }

  form() {
    this.payload = el("textarea", { id: "payload", rows: 6, spellcheck: "false", autocapitalize: "off", "aria-describedby": "payload-hint" });
    this.payload.value = "{}";
    this.outcome = el("p", { role: "status" });
    return el("div", { class: "trigger" },
      el("label", { for: "payload" }, "Payload"), this.payload,
      el("p", { class: "hint", id: "payload-hint" }, "A JSON object that the schema of the payload takes."),
      el("p", { class: "buttons" }, button("Trigger", () => this.fire(), { class: "main" })), this.outcome);
  }

  async fire() {
    clear();
    this.outcome.replaceChildren();
    try {
      const body = this.parsed();
      const { taskId } = await api.call("POST", "hooks", `${this.at}/trigger`, { body });
      this.outcome.append(...(taskId ? ["Created ", taskLink(taskId)] : ["The template created no task for this payload."]));
    } catch (refusal) {
      told(refusal);
    }
    this.refresh();
  }

  parsed() {
    let value;
    try {
      value = JSON.parse(this.payload.value);
    } catch (error) {
      throw new api.Refusal(0, "", `The payload is no JSON: ${error.message}`);
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new api.Refusal(0, "", "The payload must be a JSON object, such as {}.");
    return value;
  }

  async fired() {
    try {
      return (await api.call("GET", "hooks", `${this.at}/last-fires`, { query: { limit: FIRES } })).lastFires;
    } catch (refusal) {
      if (refusal.status === 404) return [];
      throw refusal;
    }
  }

  list(fires) {
    if (!fires.length) return empty("It has not fired yet.");
    return [
      table("Last fires", ["Fired", "By", "Task", "Outcome"], fires.map((fire) => [
        ago(fire.taskCreateTime), BY[fire.firedBy] ?? fire.firedBy, fire.result === "success" ? taskLink(fire.taskId) : "–",
        fire.result === "success" ? badge(fire.taskState, fire.taskState === "unknown" ? "gone" : fire.taskState)
          : el("details", {}, el("summary", {}, badge("failed", "no task")), el("pre", { class: "source" }, words(fire.error))),
      ])),
      fires.length === FIRES && el("p", { class: "hint" }, `The latest ${FIRES}; the method listLastFires gives all.`),
    ];
  }
}

/** An error as people read it: that of a call is kept as JSON. */
function words(error) {
  try {
    const { message } = JSON.parse(error);
    return typeof message === "string" ? message : error;
  } catch {
    return error;
  }
}
