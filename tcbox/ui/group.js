// The page of a task group: all its tasks, how many are in which state, and what can be done with the group.

import * as api from "./api.js";
import { STATES, badge, button, copyable, el, empty, facts, section, show, table, taskLink } from "./dom.js";
import { clear, told } from "./notices.js";
import { poll } from "./poll.js";
import * as recent from "./recent.js";
import { ago, took } from "./times.js";

const ROWS = 500;
const OPEN = ["unscheduled", "pending", "running"];

export function group(main, taskGroupId) {
  const page = new GroupPage(main, taskGroupId);
  page.refresh = poll(() => page.step());
}

class GroupPage {
  constructor(main, taskGroupId) {
    Object.assign(this, { main, id: taskGroupId, at: api.path`task-group/${taskGroupId}`, tasks: [], chosen: new Set(), rows: ROWS, laid: false });
    document.title = taskGroupId;
    this.name = el("input", { type: "search", placeholder: "Name or task ID", "aria-label": "Show only tasks whose name or ID has", oninput: () => this.list() });
    this.bar = el("div", { class: "stack", role: "img" });
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Show only tasks in these states" });
    this.about = el("div");
    this.found = section("Tasks", { wide: true });
    main.replaceChildren(el("h1", {}, "Task group"), empty("Loading…"));
  }

  async step() {
    let about = {};
    try {
      this.tasks = await api.all("GET", "queue", `${this.at}/list`, "tasks", { found: (page) => { about = page; } });
    } catch (refusal) {
      if (!this.laid) this.main.replaceChildren(el("h1", {}, "Task group ", el("code", {}, this.id)), empty("There is nothing to show. ", el("a", { href: "/" }, "To the start page")));
      throw refusal;
    }
    if (!this.laid) this.lay();
    this.summary(about);
    this.list();
    return this.tasks.some(({ status }) => OPEN.includes(status.state)) ? 2500 : 10_000;
  }

  lay() {
    this.laid = true;
    clear();
    recent.remember("group", this.id, this.id);
    this.main.replaceChildren(
      el("h1", {}, "Task group"), el("p", { class: "lead" }, copyable(this.id)), this.about,
      el("div", { class: "card" }, this.bar, el("div", { class: "filter" }, this.chips, this.name)), this.found.element);
  }

  summary({ schedulerId, sealed, expires }) {
    const counts = STATES.map((state) => [state, this.tasks.filter(({ status }) => status.state === state).length]).filter(([, count]) => count);
    const words = counts.map(([state, count]) => `${count} ${state}`).join(", ");
    document.title = `${words || "no tasks"}: task group`;
    show(this.about, [schedulerId, sealed, expires], () => [
      facts([
        ["Scheduler", schedulerId], ["Expires", expires && ago(expires)],
        ["Sealed", sealed ? el("span", {}, ago(sealed), "; no task can be added") : "no; tasks can be added"],
      ]),
      el("p", { class: "buttons group-buttons" },
        button("Cancel all", () => this.act("cancel", "Cancel all tasks of this group that are not done?")),
        el("a", { class: "button", href: `/tasks/groups/${encodeURIComponent(this.id)}/profiler`, title: "When each task ran, in the Firefox Profiler" }, "Profile"),
        !sealed && button("Seal", () => this.act("seal", "Seal this group? No task can be added to it afterwards."))),
    ]);
    this.bar.setAttribute("aria-label", `Of ${this.tasks.length} tasks: ${words}`);
    show(this.bar, counts, () => counts.map(([state, count]) => {
      const part = el("span", { class: state, title: `${count} ${state}` });
      part.style.flexGrow = count;
      return part;
    }));
    show(this.chips, [counts, [...this.chosen]], () => counts.map(([state, count]) =>
      el("button", { type: "button", class: "chip", "aria-pressed": String(this.chosen.has(state)), onclick: () => this.choose(state) }, badge(state, `${count} ${state}`))));
  }

  choose(state) {
    if (!this.chosen.delete(state)) this.chosen.add(state);
    for (const chip of this.chips.children) if (chip.textContent.endsWith(` ${state}`)) chip.setAttribute("aria-pressed", String(this.chosen.has(state)));
    this.list();
  }

  async act(action, question) {
    if (!confirm(question)) return;
    clear();
    try {
      await api.call("POST", "queue", `${this.at}/${action}`);
    } catch (refusal) {
      told(refusal);
    }
    this.refresh();
  }

  list() {
    const text = this.name.value.trim().toLowerCase();
    const fits = ({ status, task }) => (!this.chosen.size || this.chosen.has(status.state))
      && (!text || task.metadata.name.toLowerCase().includes(text) || status.taskId.toLowerCase().startsWith(text));
    const found = this.tasks.filter(fits);
    const shown = found.slice(0, this.rows);
    this.found.heading.textContent = found.length === this.tasks.length ? `${found.length} tasks` : `${found.length} of ${this.tasks.length} tasks`;
    show(this.found.place, [shown.map(({ status }) => [status.taskId, status.state, status.runs.length]), found.length], () => (found.length ? [
      table("Tasks of the group", ["State", "Name", "Task queue", "Run", "Took"], shown.map((each) => this.row(each))),
      found.length > shown.length && el("button", { type: "button", onclick: () => { this.rows += 10 * ROWS; this.list(); } }, `Show more of the ${found.length - shown.length} others`),
    ] : empty("No task of this group is like that. Change the filter above.")));
  }

  row({ status, task }) {
    const run = status.runs.at(-1);
    return [badge(status.state), taskLink(status.taskId, task.metadata.name), el("code", {}, status.taskQueueId), run ? String(run.runId) : "–",
      run?.started ? (run.resolved ? took(run.started, run.resolved) : el("span", { class: "hint" }, "started ", ago(run.started))) : "–"];
  }
}
