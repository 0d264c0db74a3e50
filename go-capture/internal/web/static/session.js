// SPDX-License-Identifier: Apache-2.0
// Who is logged in, where the device wants that.
import { ask, send } from "./ask.js";
import { element, write } from "./element.js";

const address = "/api/v1/session";
const againMs = 2000;
const stillIn = "You are still logged in: the device did not answer. Try again.";
let leaving = false;
let greeted = null; // the name, "" where there is none

/** { required, claim, logins, name, role, cameras }, or null when the device does not answer. */
export async function session() {
  try {
    const answer = await ask(address);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function answeredSession() {
  let now = await session();
  while (now === null) {
    await new Promise((goOn) => setTimeout(goOn, againMs));
    now = await session();
  }
  return now;
}

/** Shows who is logged in and lets them leave; nothing where no login is wanted. Gives back the session, as soon as the device answers. */
export async function greet(button, name) {
  const now = await answeredSession();
  greeted = now.name;
  if (!now.name) return now;
  write(name, now.name);
  button.hidden = false;
  const refused = element("span", { role: "alert" });
  button.after(" ", refused);
  button.addEventListener("click", async () => write(refused, await leave()));
  return now;
}

/** Browsers keep a page that one leaves, for “Back”: it shows nothing then, until it is known that the same person looks. */
export function forgetWhenLeft(forget) {
  addEventListener("pagehide", ({ persisted }) => persisted && forget());
  addEventListener("pageshow", async ({ persisted }) => {
    if (!persisted) return;
    const { name } = await answeredSession();
    if (name === greeted || leaving) return;
    leaving = true;
    location.reload(); // which leads to the login where one is missing
  });
}

/** Why whoever wanted to leave is still here, or "". A proxy in front of a device that is away answers too, and has ended no session. */
async function leave() {
  try {
    const answer = await send("/api/v1/logout");
    if (answer.ok) return logIn() ?? "";
    const problem = await answer.json();
    if (answer.status !== 500 || problem.title !== "The logout may not last") return stillIn;
  } catch {
    return stillIn;
  }
  leaving = true;
  location.replace("/login?unwritten");
  return "";
}

/** The login leads back to this page. The status and each picture come to it by themselves: a second call would break off the first. */
export function logIn() {
  if (leaving) return;
  leaving = true;
  location.replace(location.pathname === "/" ? "/login" : `/login?to=${encodeURIComponent(location.pathname)}`);
}
