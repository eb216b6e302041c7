// The page of all worker pools: who gives their machines, how many there are, what waits for them, and what is wrong.

import * as api from "./api.js";
import { el, empty, poolLink, section, show, table } from "./dom.js";
import { poll } from "./poll.js";

const PAUSE = 5000;

export function pools(main) {
  document.title = "Worker pools";
  const listed = section("Worker pools", { wide: true });
  const found = { pools: [], pending: {}, errors: {} };
  const filter = el("input", { type: "search", placeholder: "Name, provider or owner", "aria-label": "Show only pools whose name, provider or owner has", oninput: () => draw(listed, found, filter.value) });
  listed.heading.after(el("div", { class: "filter" }, filter));
  main.replaceChildren(el("h1", {}, "Worker pools"), listed.element);
  poll(async () => {
    found.pools = await api.all("GET", "worker-manager", "worker-pools", "workerPools");
    [found.pending, found.errors] = await Promise.all([pending(found.pools.map((each) => each.workerPoolId)), errors()]);
    draw(listed, found, filter.value);
    return PAUSE;
  });
}

/** How many tasks wait for each pool; none are told of when they may not be seen. */
export async function pending(names) {
  const counts = {};
  try {
    for (let at = 0; at < names.length; at += 500) {
      const page = await api.call("POST", "queue", "task-queues/counts", { body: { taskQueueIds: names.slice(at, at + 500) } });
      for (const each of page.taskQueueCounts) counts[each.taskQueueId] = each;
    }
  } catch (refusal) {
    if (refusal.status !== 403) throw refusal;
  }
  return counts;
}

async function errors() {
  try {
    return (await api.call("GET", "worker-manager", "worker-pool-errors/stats")).totals.workerPool;
  } catch (refusal) {
    if (refusal.status !== 403) throw refusal;
    return null;
  }
}

function draw(listed, { pools: every, pending: counts, errors: wrong }, text) {
  const wanted = text.trim().toLowerCase();
  const kept = every.filter((each) => [each.workerPoolId, each.providerId, each.owner].some((value) => value.toLowerCase().includes(wanted)));
  listed.heading.textContent = kept.length === every.length ? `${every.length} worker ${every.length === 1 ? "pool" : "pools"}` : `${kept.length} of ${every.length} worker pools`;
  show(listed.place, [kept, counts, wrong, wanted], () => {
    if (!kept.length) return empty(every.length ? "No pool is like that. Change the filter above." : "No worker pool yet. createWorkerPool, or tc-admin, makes one.");
    return table("Worker pools", ["Worker pool", "Provider", "Running", "Requested", "Stopping", "Most", "Pending", "Errors"], kept.map((each) => [
      poolLink(each.workerPoolId), each.providerId, number(each.runningCapacity, "running"), number(each.requestedCapacity, "pending"), number(each.stoppingCapacity, "exception"),
      each.config.maxCapacity === undefined ? "–" : String(each.config.maxCapacity), number(counts[each.workerPoolId]?.pendingTasks, "pending"),
      number(wrong === null ? undefined : wrong[each.workerPoolId] ?? 0, "failed"),
    ]));
  });
}

export function number(count, state) {
  return el("span", { class: count ? `number ${state}` : "number none" }, String(count ?? "–"));
}
