// SPDX-License-Identifier: Apache-2.0
// A form whose fields go as one JSON object; a refusal is shown in words beside them.
import { send } from "./ask.js";
import { silentDevice } from "./problems.js";

/** Sends `form` to `address` when it is submitted; calls `done()` when that is accepted. */
export function sendForm(form, address, done) {
  const button = form.querySelector("button");
  const refused = form.querySelector("[role=alert]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    refused.hidden = true;
    const why = await refusal(address, Object.fromEntries(new FormData(form)));
    button.disabled = false;
    if (why === "") return done();
    refused.textContent = why;
    refused.hidden = false;
    form.querySelector("[type=password]").select();
  });
}

/** Why the device does not take the fields, or "". */
async function refusal(address, fields) {
  try {
    const answer = await send(address, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });
    if (answer.ok) return "";
    const problem = await answer.json();
    const wait = answer.headers.get("Retry-After");
    return wait ? `${problem.title}: try again in ${wait} s.` : problem.detail ?? problem.title;
  } catch {
    return silentDevice.join(". ");
  }
}
