// The page of a worker pool: its configuration, the ways in which machines are launched, its workers, and what is wrong.

import * as api from "./api.js";
import { badge, copyable, el, empty, facts, section, show, table, taskLink } from "./dom.js";
import { clear, told } from "./notices.js";
import { poll } from "./poll.js";
import { number, pending } from "./pools.js";
import { ago } from "./times.js";

const PAUSE = 5000;
const ROWS = 200;
const COLOURS = { running: "running", requested: "pending", stopping: "exception", stopped: "unscheduled", standalone: "completed" };

export function pool(main, workerPoolId) {
  const page = new PoolPage(main, workerPoolId);
  page.refresh = poll(() => page.step());
}

class PoolPage {
  constructor(main, workerPoolId) {
    const [provisionerId, workerType] = [workerPoolId.slice(0, workerPoolId.indexOf("/")), workerPoolId.slice(workerPoolId.indexOf("/") + 1)];
    Object.assign(this, { main, id: workerPoolId, listed: api.path`provisioners/${provisionerId}/worker-types/${workerType}/workers`, laid: false, state: "", pages: 1 });
    document.title = `${workerPoolId}: worker pool`;
    this.parts = {
      about: section("Worker pool"), config: section("Configuration"), launch: section("Launch configurations", { wide: true }),
      workers: section("Workers", { wide: true }), errors: section("Errors", { wide: true }),
    };
    this.choice = el("select", { "aria-label": "Show only workers in this state", onchange: () => { this.state = this.choice.value; this.pages = 1; this.refresh(); } },
      ["", "requested", "running", "stopping", "stopped"].map((state) => el("option", { value: state }, state || "in any state")));
    this.parts.workers.heading.after(el("div", { class: "filter" }, this.choice));
    main.replaceChildren(el("h1", {}, "Worker pool"), empty("Loading…"));
  }

  async step() {
    let about;
    try {
      about = await api.call("GET", "worker-manager", api.path`worker-pool/${this.id}`);
    } catch (refusal) {
      if (!this.laid) this.main.replaceChildren(el("h1", {}, "Worker pool ", el("code", {}, this.id)), empty("There is nothing to show. ", el("a", { href: "/worker-manager/" }, "To all worker pools")));
      throw refusal;
    }
    if (!this.laid) this.lay();
    const counts = (await pending([this.id]))[this.id];
    this.about(about, counts);
    await Promise.all([this.launch(), this.workers(), this.errors()].map((part) => part.catch(told)));
    return PAUSE;
  }

  lay() {
    this.laid = true;
    clear();
    this.main.replaceChildren(
      el("h1", {}, el("a", { href: "/worker-manager/" }, "Worker pools"), " / ", el("span", { "aria-current": "page" }, this.id)), el("p", { class: "lead" }, copyable(this.id)),
      el("div", { class: "grid" }, Object.values(this.parts).map((part) => part.element)));
  }

  about(about, counts) {
    const { config } = about;
    show(this.parts.about.place, [about, counts], () => facts([
      ["Provider", about.providerId === "null-provider" ? el("span", {}, badge("exception", "null-provider"), " It goes when its workers are gone.") : about.providerId],
      ["Description", about.description], ["Owner", about.owner + (about.emailOnError ? ", gets mail about errors" : "")],
      ["Running", number(about.runningCapacity, "running")], ["Requested", number(about.requestedCapacity, "pending")], ["Stopping", number(about.stoppingCapacity, "exception")],
      ["Capacity", config.maxCapacity === undefined ? null : `from ${config.minCapacity ?? 0} to ${config.maxCapacity}`],
      ["Pending tasks", number(counts?.pendingTasks, "pending")], ["Claimed tasks", number(counts?.claimedTasks, "running")],
      ["Created", ago(about.created)], ["Changed", ago(about.lastModified)],
    ]));
    show(this.parts.config.place, config, () => el("pre", { class: "source", tabindex: "0", role: "region", "aria-label": "Configuration" }, JSON.stringify(config, null, 2)));
  }

  async launch() {
    const at = api.path`worker-pool/${this.id}`;
    const [found, { launchConfigStats }] = await Promise.all([
      this.archived(`${at}/launch-configs`), api.call("GET", "worker-manager", `${at}/stats`)]);
    const numbers = Object.fromEntries(launchConfigStats.map((each) => [each.launchConfigId, each]));
    show(this.parts.launch.place, [found, numbers], () => (found.length ? table("Launch configurations", ["ID", "State", "Place", "Weight", "Most", "Running", "Requested", "Changed"], found.map(({ launchConfigId: id, configuration, isArchived, lastModified }) => [
      el("details", {}, el("summary", {}, el("code", {}, id)), el("pre", { class: "source", tabindex: "0" }, JSON.stringify(configuration, null, 2))),
      isArchived ? badge("exception", "archived") : badge("completed", "in use"), place(configuration), String(configuration?.workerManager?.initialWeight ?? 1),
      String(configuration?.workerManager?.maxCapacity ?? "–"), number(numbers[id]?.runningCapacity ?? 0, "running"), number(numbers[id]?.requestedCapacity ?? 0, "pending"), ago(lastModified),
    ])) : empty("None: nothing is launched for this pool.")));
  }

  async archived(route) {
    const items = [];
    let continuationToken;
    do {
      const page = await api.call("GET", "worker-manager", route, { query: { includeArchived: "true", continuationToken } });
      items.push(...page.workerPoolLaunchConfigs);
      continuationToken = page.continuationToken;
    } while (continuationToken);
    return items;
  }

  async workers() {
    const found = [];
    let continuationToken;
    for (let page = 0; page < this.pages && (page === 0 || continuationToken); page += 1) {
      const reply = await api.call("GET", "worker-manager", this.listed, { query: { limit: ROWS, workerState: this.state, continuationToken } });
      found.push(...reply.workers);
      continuationToken = reply.continuationToken;
    }
    this.parts.workers.heading.textContent = `${found.length}${continuationToken ? "+" : ""} workers`;
    show(this.parts.workers.place, [found, Boolean(continuationToken), this.state], () => [
      found.length ? table("Workers", ["Worker", "State", "Capacity", "Launch configuration", "First claim", "Last active", "Latest task"], found.map((each) => [
        el("code", {}, `${each.workerGroup}/${each.workerId}`),
        [badge(COLOURS[each.state], each.state), each.quarantineUntil && el("span", { class: "hint" }, " in quarantine, ends ", ago(each.quarantineUntil))],
        String(each.capacity), each.launchConfigId ? el("code", {}, each.launchConfigId) : "–", each.firstClaim ? ago(each.firstClaim) : "never",
        each.lastDateActive ? ago(each.lastDateActive) : "–", each.latestTask ? taskLink(each.latestTask.taskId) : "–",
      ])) : empty(this.state ? "No worker is in that state." : "No worker yet."),
      continuationToken && el("button", { type: "button", onclick: () => { this.pages += 1; this.refresh(); } }, "Show more"),
    ]);
  }

  async errors() {
    const { workerPoolErrors: found } = await api.call("GET", "worker-manager", api.path`worker-pool-errors/${this.id}`, { query: { limit: ROWS } });
    show(this.parts.errors.place, found, () => (found.length ? table("Errors", ["Reported", "Error", "Launch configuration"], found.map((each) => [
      ago(each.reported),
      el("details", {}, el("summary", {}, each.title, " ", el("span", { class: "hint" }, each.kind)), el("p", {}, each.description), el("pre", { class: "source", tabindex: "0" }, JSON.stringify(each.extra, null, 2))),
      each.launchConfigId ? el("code", {}, each.launchConfigId) : "–",
    ])) : empty("None in the last days.")));
  }
}

function place(configuration) {
  return String(configuration?.zone ?? configuration?.location ?? configuration?.region ?? configuration?.armDeployment?.parameters?.location?.value ?? "–");
}
