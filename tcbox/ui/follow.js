// Reading a run's log: from its beginning to its end, over lost connections, while the run may go on.

import * as api from "./api.js";

const PATIENCE = 120_000; // after a run ended, its log may still be on its way

/**
 * Write a run's log into a view until it is whole.
 *
 * `look` asks for the run as it is now. Ends quietly when the signal is given.
 */
export async function follow(view, url, look, signal) {
  let seen = 0;
  let whole = 0;
  for (let turn = 0; !signal.aborted; turn += 1) {
    const run = await look().catch(() => null);
    const ended = run !== null && !["pending", "running"].includes(run.state);
    if (ended && !run.started) return view.tell("This run never started, so there is no log.");
    if (ended && whole) return view.tell("The end of the log.");
    if (run?.state === "pending") view.tell("The log begins when a worker claims the task.");
    else if (!whole || Date.now() - whole > 15_000) {
      try {
        seen = await read(view, url, seen, signal);
        whole = Date.now();
        turn = 0;
        if (ended) return view.tell("The end of the log.");
      } catch (error) {
        if (signal.aborted) return undefined;
        seen = error.seen ?? seen;
        whole = 0;
        view.tell(ended || turn > 5 ? `There is no log to show: ${error.message}` : "Waiting for the log…");
        if (ended && Date.now() - new Date(run.resolved) > PATIENCE) return undefined;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(500 + 250 * turn, 5000)));
  }
  return undefined;
}

async function read(view, url, seen, signal) {
  const reply = await api.download(url, signal);
  view.tell("Reading…");
  const decoder = new TextDecoder();
  const reader = reply.body.getReader();
  let place = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) break;
      const fresh = value.subarray(Math.max(0, Math.min(value.length, seen - place)));
      place += value.length;
      await view.write(decoder.decode(fresh, { stream: true }));
    }
  } catch (error) {
    throw Object.assign(error, { seen: Math.max(place, seen) });
  }
  return Math.max(place, seen);
}
