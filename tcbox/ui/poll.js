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
  let again = false;
  const asleep = (pause) => new Promise((resolve) => {
    const timer = pause === null ? null : setTimeout(resolve, pause);
    wake = () => { clearTimeout(timer); resolve(); };
    if (again) wake();
    again = false;
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
      return error.status === 0 || error.status >= 500 ? Math.min(1000 * 2 ** failures, LONGEST) : null;
    }
  };
  (async () => {
    for (;;) {
      const pause = await turn();
      await asleep(pause);
      await seen();
      again = false;
    }
  })();
  const now = () => { again = true; wake(); };
  addEventListener("signed-in", now);
  return now;
}
