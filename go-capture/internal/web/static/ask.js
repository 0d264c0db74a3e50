// SPDX-License-Identifier: Apache-2.0
// Asks the device, which may be silent: a question that has no answer by then is given up.

const answerMs = 3000;

/** A fetch of what is true now. AbortSignal.timeout would be shorter, but old tablets on a wall lack it (Safari before 16). */
export function ask(address, headers = {}) {
  const patience = new AbortController();
  setTimeout(() => patience.abort(), answerMs); // the body is given up too; after it this does nothing
  return fetch(address, { headers, cache: "no-store", signal: patience.signal });
}
