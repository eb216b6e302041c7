// The page of a task: where it stands, its runs, log and artifacts, and what can be done with it.

import * as api from "./api.js";
import { badge, button, copyable, el, empty, facts, groupLink, indexLink, outward, section, show, table, taskLink } from "./dom.js";
import { follow } from "./follow.js";
import { LogView } from "./log.js";
import { clear, told } from "./notices.js";
import { poll } from "./poll.js";
import { reader } from "./reader.js";
import * as recent from "./recent.js";
import { ago, took } from "./times.js";

const OPEN = ["unscheduled", "pending", "running"];
const ACTIONS = [
  ["schedule", "Schedule", (state) => state === "unscheduled", "Run it now, whether or not what it depends on is done"],
  ["rerun", "Rerun", (state) => !OPEN.includes(state), "Make a new run"],
  ["cancel", "Cancel", (state) => OPEN.includes(state), "Stop it, or see to it that it never starts"],
];

/** Show a task; `wanted` is the run whose log and artifacts are shown, null for the last. */
export function task(main, taskId, wanted) {
  const page = new TaskPage(main, taskId, wanted);
  page.refresh = poll(() => page.step());
}

class TaskPage {
  constructor(main, taskId, wanted) {
    Object.assign(this, { main, taskId, wanted, definition: null, followed: null, view: new LogView() });
    this.at = api.path`task/${taskId}`;
    document.title = taskId;
  }

  async step() {
    this.definition ??= await this.first();
    const { status } = await api.call("GET", "queue", `${this.at}/status`);
    const run = status.runs[this.wanted ?? status.runs.length - 1];
    document.title = `${status.state}: ${this.name}`;
    show(this.state, [status.state, status.runs.length], () => this.heading(status));
    show(this.facts.place, { ...status, runs: 0 }, () => this.about(status));
    show(this.runs.place, [status.runs, status.state === "running" && Math.floor(Date.now() / 5000)], () => this.runTable(status));
    this.log(run);
    await Promise.all([this.artifactList(run), this.needed(status), this.dependent()].map((each) => each.catch(told)));
    if (OPEN.includes(status.state)) return status.state === "running" ? 2000 : 3000;
    return run?.resolved && Date.now() - new Date(run.resolved) < 60_000 ? 4000 : 20_000;
  }

  async first() {
    this.main.replaceChildren(el("h1", {}, this.taskId), empty("Loading…"));
    let definition;
    try {
      definition = await api.call("GET", "queue", this.at);
    } catch (refusal) {
      this.main.replaceChildren(el("h1", {}, "Task ", el("code", {}, this.taskId)), empty("There is nothing to show. ", el("a", { href: "/" }, "To the start page")));
      throw refusal;
    }
    clear();
    this.name = definition.metadata?.name || this.taskId;
    recent.remember("task", this.taskId, this.name);
    this.lay(definition);
    return definition;
  }

  lay(definition) {
    Object.assign(this, {
      state: el("div", { class: "state" }), facts: section("Task"), runs: section("Runs"), logs: section("Log", { wide: true }),
      artifacts: section("Artifacts"), needs: section("Depends on"), dependents: section("Needed by"),
    });
    this.raw = reader(null, "Raw log");
    this.view.bar.append(this.raw);
    this.logs.place.replaceChildren(this.view.bar, this.view.box);
    const source = el("section", { class: "card" }, el("h2", {}, "Definition"), el("details", {}, el("summary", {}, "Show the definition"),
      el("p", { class: "links" }, reader(api.address("queue", this.at), "As the API gives it")), el("pre", { class: "source", tabindex: "0" }, JSON.stringify(definition, null, 2))));
    this.main.replaceChildren(
      el("h1", {}, this.name), el("p", { class: "lead" }, copyable(this.taskId)), this.state,
      el("p", { class: "description" }, definition.metadata?.description ?? ""),
      el("div", { class: "columns" },
        el("div", {}, this.logs.element, this.artifacts.element, source),
        el("div", {}, this.facts.element, this.runs.element, this.needs.element, this.dependents.element)));
    this.definition = definition;
  }

  heading({ state, runs }) {
    const offered = ACTIONS.filter(([, , fits]) => fits(state));
    return [badge(state), runs.length > 1 && el("span", { class: "hint" }, `${runs.length} runs`),
      el("span", { class: "buttons" }, !OPEN.includes(state) && el("a", { class: "button", href: `/tasks/${encodeURIComponent(this.taskId)}/profiler`, title: "The log by time, in the Firefox Profiler" }, "Profile"), offered.map(([action, text, , title]) => button(text, () => this.act(action), { title })))];
  }

  async act(action) {
    clear();
    try {
      await api.call("POST", "queue", `${this.at}/${action}`);
      if (action === "rerun") this.wanted = null;
    } catch (refusal) {
      told(refusal);
    }
    this.refresh();
  }

  about(status) {
    const { metadata = {}, created, routes = [] } = this.definition;
    const indexed = routes.filter((route) => route.startsWith("index.")).map((route) => route.slice("index.".length));
    return facts([
      ["Task queue", el("code", {}, status.taskQueueId)], ["Task group", groupLink(status.taskGroupId)], ["Created", ago(created)],
      ["Deadline", ago(status.deadline)], ["Expires", ago(status.expires)], ["Priority", status.priority], ["Retries left", String(status.retriesLeft)],
      ["Owner", metadata.owner], ["Source", metadata.source && outward(metadata.source)], ["Scheduler", status.schedulerId], ["Project", status.projectId],
      ["Index", indexed.length ? indexed.map((path) => el("div", {}, indexLink(path, path))) : null],
    ]);
  }

  runTable({ runs }) {
    if (!runs.length) return empty("None yet: the task waits for what it depends on, or to be scheduled.");
    return table("Runs", ["Run", "State", "Worker", "Took"], runs.map((run) => [
      el("a", { href: `/tasks/${encodeURIComponent(this.taskId)}/runs/${run.runId}` }, `Run ${run.runId}`),
      [badge(run.state), el("div", { class: "hint" }, [run.reasonResolved !== run.state && run.reasonResolved, run.reasonCreated !== "scheduled" && `from ${run.reasonCreated}`].filter(Boolean).join(", "))],
      run.workerId ? el("span", {}, run.workerId, el("div", { class: "hint" }, run.workerGroup)) : "–",
      run.started ? el("span", { title: `started ${run.started}, resolved ${run.resolved ?? "not yet"}` }, took(run.started, run.resolved)) : "–",
    ]));
  }

  log(run) {
    if (this.followed?.runId === run?.runId && this.followed) return;
    this.followed?.stop.abort();
    this.view.clear();
    this.raw.hidden = !run;
    if (!run) return this.view.tell("The log begins with the first run.");
    const stop = new AbortController();
    this.followed = { runId: run.runId, stop };
    this.logs.heading.textContent = `Log of run ${run.runId}`;
    const { payload } = this.definition;
    const name = [payload?.logs?.live, payload?.log].find((each) => typeof each === "string" && each) ?? "public/logs/live.log";
    const url = api.address("queue", `${this.at}/runs/${run.runId}/artifacts/${api.path`${name}`}`);
    this.raw.href = url;
    const look = async () => (await api.call("GET", "queue", `${this.at}/status`)).status.runs[run.runId];
    return follow(this.view, url, look, stop.signal);
  }

  async artifactList(run) {
    const found = run ? await api.all("GET", "queue", `${this.at}/runs/${run.runId}/artifacts`, "artifacts") : [];
    show(this.artifacts.place, [run?.runId, found], () => {
      if (!found.length) return empty(run && OPEN.includes(run.state) ? "None yet." : "None.");
      return table("Artifacts", ["Name", "Type", "Expires"], found.map((each) => [
        [reader(api.address("queue", api.path`task/${this.taskId}/runs/${run.runId}/artifacts/${each.name}`), each.name), each.storageType === "error" && badge("failed", "error")],
        el("span", { class: "hint" }, each.contentType), ago(each.expires),
      ]));
    });
  }

  async needed(status) {
    const ids = (this.definition.dependencies ?? []).filter((id) => id !== this.taskId);
    if (this.settled || !ids.length) return show(this.needs.place, ids, () => empty("Nothing."));
    const [tasks, statuses] = await Promise.all([
      this.names ?? api.all("POST", "queue", "tasks", "tasks", { body: { taskIds: ids } }),
      api.all("POST", "queue", "tasks/status", "statuses", { body: { taskIds: ids } }),
    ]);
    this.names = tasks;
    const names = Object.fromEntries(tasks.map((each) => [each.taskId, each.task.metadata.name]));
    const states = Object.fromEntries(statuses.map((each) => [each.taskId, each.status.state]));
    this.settled = !OPEN.includes(status.state) && ids.every((id) => !OPEN.includes(states[id]));
    return show(this.needs.place, states, () => this.others(ids.map((id) => [id, names[id], states[id] ?? "gone"])));
  }

  async dependent() {
    const found = await api.all("GET", "queue", `${this.at}/dependents`, "tasks");
    const shown = found.map(({ task: { metadata }, status }) => [status.taskId, metadata.name, status.state]);
    show(this.dependents.place, shown, () => (shown.length ? this.others(shown) : empty("Nothing.")));
  }

  others(list) {
    return el("ul", { class: "rows tall" }, list.map(([id, name, state]) => el("li", {}, badge(state), taskLink(id, name))));
  }
}
