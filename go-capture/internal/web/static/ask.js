// SPDX-License-Identifier: Apache-2.0
// Asks the device, which may be silent: a question that has no answer by then is given up.

const answerMs = 3000;

/** A fetch of what is true now. AbortSignal.timeout would be shorter, but old tablets on a wall lack it (Safari before 16). */
export function ask(address, options = {}, withinMs = answerMs) {
  const patience = new AbortController();
  setTimeout(() => patience.abort(), withinMs); // the body is given up too; after it this does nothing
  return fetch(address, { ...options, cache: "no-store", signal: patience.signal });
}

const worksMs = 20_000; // a small board takes seconds to compare a password, and others may be before

/** Has the device do something, which may take it longer. */
export const send = (address, options = {}) => ask(address, { ...options, method: "POST" }, worksMs);
