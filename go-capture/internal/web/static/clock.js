// SPDX-License-Identifier: Apache-2.0
// A clock that goes on while the machine sleeps: on many systems performance.now() stands still then. A calendar that is set forward
// looks the same, and costs a moment in which pictures count as old.

const lookMs = 500;
const asleepMs = 3000; // for which no timer of a page that is seen went off

const woken = [];
let [clock, calendar, slept] = [performance.now(), Date.now(), 0];
let lookedAt = clock;

/** Milliseconds since some time. */
export function now() {
  const [clockBefore, calendarBefore] = [clock, calendar];
  [clock, calendar] = [performance.now(), Date.now()];
  const missedMs = calendar - calendarBefore - (clock - clockBefore);
  if (missedMs > lookMs) slept += missedMs;
  return clock + slept;
}

/** Calls `tell()` when a machine wakes with the page before somebody's eyes: what is on it is of before. */
export function onWake(tell) {
  woken.push(tell);
}

/** Looks whether the machine has slept. */
export function look() {
  const at = now();
  const hasSlept = at - lookedAt > asleepMs;
  lookedAt = at;
  if (hasSlept && !document.hidden) for (const tell of woken) tell();
}

// Browsers keep the timers of a page that is out of sight waiting; whoever shows something begins anew then anyway.
document.addEventListener("visibilitychange", () => { lookedAt = now(); });
setInterval(look, lookMs);
