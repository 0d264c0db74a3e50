// SPDX-License-Identifier: Apache-2.0
// How figures are written: always the same width, so that nothing jumps.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export const count = (n) => whole.format(n ?? 0);

/** 29.9 */
export const rate = (n) => (n ?? 0).toFixed(1);

/** Milliseconds with two significant decimals when small: 0.08, 11.8, 134 */
export function milliseconds(ms) {
  if (ms === undefined || ms === null) return "–";
  if (ms >= 100) return ms.toFixed(0);
  return ms >= 1 ? ms.toFixed(1) : ms.toFixed(2);
}

/** "3 s", "4 min", "2 h" */
export function age(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

/** "1 face", "2 faces" */
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
