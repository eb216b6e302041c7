// The start page: what this instance is, what it has to do, and how to reach it.

import * as api from "./api.js";
import { badge, copyable, el, empty, facts, groupLink, section, show, table, taskLink } from "./dom.js";
import { poll } from "./poll.js";
import * as recent from "./recent.js";
import { ago, span } from "./times.js";

export function start(main) {
  document.title = `Taskcluster at ${location.host}`;
  const parts = { queues: section("Task queues", { wide: true }), instance: section("Instance"), recent: section("Recent"), connect: section("Connect") };
  main.replaceChildren(el("h1", {}, "Taskcluster"), el("p", { class: "lead" }, location.origin), el("div", { class: "grid" }, Object.values(parts).map((part) => part.element)));
  showRecent(parts.recent.place);
  poll(() => instance(parts));
  poll(() => queues(parts.queues.place));
}

async function instance(parts) {
  const [about, health, version] = await Promise.all([api.plain("/ui/instance.json"), api.plain("/__heartbeat__"), api.plain("/__version__")]);
  const shown = { ...about, uptime: Math.floor(about.uptime / 60) };
  show(parts.instance.place, [shown, health, version], () => [
    ...(about.notes ?? []).map((note) => el("p", { class: "hint" }, note)),
    facts([
      ["Root URL", copyable(about.rootUrl)],
      ["Version", version.version],
      ["Health", badge(health.healthy ? "completed" : "failed", health.healthy ? "healthy" : "not healthy")],
      ["Up for", about.uptime < 60 ? "less than a minute" : span(60 * shown.uptime).replace(/ 0 s$/, "")],
    ]),
    el("h3", {}, "Services"),
    el("ul", { class: "rows" }, about.services.map((name) => service(name, health.faults?.[name]))),
    health.faults?.database && el("p", { class: "refusal" }, `Database: ${words(health.faults.database)}`),
    el("h3", {}, "Workers inside"),
    Object.keys(about.workers ?? {}).length
      ? facts(Object.entries(about.workers).map(([kind, tells]) => [kind, words(tells)]))
      : empty("None. Connect workers of your own, or see ", el("code", {}, "tcbox worker --help"), "."),
  ]);
  show(parts.connect.place, about.rootUrl, () => connect(about.rootUrl));
  return 10_000;
}

function words(value) {
  if (Array.isArray(value)) return value.map(words).join(", ");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function service(name, faults) {
  const at = api.path`/references/${name}/v1/`;
  return el("li", {},
    badge(faults ? "failed" : "completed", name), faults && el("span", { class: "refusal" }, words(faults)),
    el("span", { class: "links" }, el("a", { href: `${at}api.json`, "aria-label": `Reference of ${name}` }, "reference"), " ", el("a", { href: `${at}openapi.json`, "aria-label": `OpenAPI of ${name}` }, "OpenAPI")));
}

function connect(rootUrl) {
  return [
    el("p", {}, "In a shell on this machine, for every Taskcluster client and worker:"), copyable('eval "$(tcbox env)"'),
    el("p", {}, "A first task, and its log:"), copyable("tcbox task create --wait -- echo hello"),
    el("p", {}, "From elsewhere, with credentials of your own:"), copyable(`export TASKCLUSTER_ROOT_URL=${rootUrl}`),
    el("p", { class: "links" }, el("a", { href: "/references/manifest.json" }, "API references"), " ", el("a", { href: "/events" }, "Events"), " ", el("a", { href: "/metrics" }, "Metrics"), " ", el("a", { href: "/__heartbeat__" }, "Heartbeat")),
  ];
}

async function queues(place) {
  const { switchedOff } = await api.plain("/ui/instance.json");
  if (switchedOff?.queue) {
    show(place, switchedOff, () => empty("The queue is switched off in the configuration, so there are no tasks here."));
    return null;
  }
  const found = await api.all("GET", "queue", "task-queues", "taskQueues");
  const ids = found.map((each) => each.taskQueueId);
  const counts = {};
  for (let at = 0; at < ids.length; at += 500) {
    const page = await api.call("POST", "queue", "task-queues/counts", { body: { taskQueueIds: ids.slice(at, at + 500) } });
    for (const each of page.taskQueueCounts) counts[each.taskQueueId] = each;
  }
  const busy = (id) => (counts[id]?.pendingTasks ?? 0) + (counts[id]?.claimedTasks ?? 0);
  found.sort((one, other) => Boolean(busy(other.taskQueueId)) - Boolean(busy(one.taskQueueId)) || one.taskQueueId.localeCompare(other.taskQueueId));
  show(place, [found.map(({ taskQueueId, lastDateActive }) => [taskQueueId, lastDateActive]), counts], () => {
    if (!found.length) return empty("No task queue yet. One appears with its first task, or with the first worker that asks for one.");
    return table("Task queues", ["Task queue", "Pending", "Running", "Active"], found.map(({ taskQueueId: id, lastDateActive }) => [
      el("code", {}, id), number(counts[id]?.pendingTasks, "pending"), number(counts[id]?.claimedTasks, "running"), ago(lastDateActive),
    ]));
  });
  return 3000;
}

function number(count, state) {
  return el("span", { class: count ? `number ${state}` : "number none" }, String(count ?? "–"));
}

function showRecent(place) {
  const found = recent.list();
  show(place, found, () => (found.length ? [
    el("ul", { class: "rows" }, found.map(({ kind, id, name, seen }) => el("li", {},
      el("span", { class: "kind" }, kind), kind === "task" ? taskLink(id, name) : groupLink(id), el("span", { class: "links" }, ago(seen))))),
    el("button", { type: "button", class: "small", onclick: () => { recent.forget(); showRecent(place); } }, "Forget these"),
  ] : empty("The tasks and task groups that you look at are listed here, in this browser only. Open one by its ID above.")));
}
