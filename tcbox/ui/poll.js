// Doing something again and again, as long as someone looks at the page.

import { clear, told } from "./notices.js";

const LONGEST = 30_000;

/**
 * Run `step` until it gives null; what it gives is the pause in milliseconds. Failures are told and tried again.
 * Gives a function that runs the next step at once.
 */
export function poll(step) {
  let wake = () => {};
  let failures = 0;
  const asleep = (pause) => new Promise((resolve) => {
    const timer = pause === null ? null : setTimeout(resolve, pause);
    wake = () => { clearTimeout(timer); resolve(); };
  });
  const seen = () => new Promise((resolve) => {
    if (!document.hidden) resolve();
    else document.addEventListener("visibilitychange", resolve, { once: true });
  });
  const turn = async () => {
    const began = performance.now();
    try {
      const pause = await step();
      if (failures) clear({ lost: true });
      failures = 0;
      return pause === null ? null : Math.max(pause, 5 * (performance.now() - began));
    } catch (error) {
      told(error);
      failures += 1;
      return error.status === 0 ? Math.min(1000 * 2 ** failures, LONGEST) : null;
    }
  };
  (async () => {
    for (;;) {
      await asleep(await turn());
      await seen();
    }
  })();
  addEventListener("signed-in", () => wake());
  return () => wake();
}
