// SPDX-License-Identifier: Apache-2.0
// Who is logged in, where the device wants that.
import { element, write } from "./element.js";

const address = "/api/v1/session";
const againMs = 2000;
const stillIn = "You are still logged in: the device did not answer. Try again.";
let leaving = false;

/** { required, claim, logins, name, role, cameras }, or null when the device does not answer. */
export async function session() {
  try {
    const answer = await fetch(address, { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** Shows who is logged in and lets them leave; nothing where no login is wanted. Gives back the session, as soon as the device answers. */
export async function greet(button, name) {
  let now = await session();
  while (now === null) {
    await new Promise((goOn) => setTimeout(goOn, againMs));
    now = await session();
  }
  if (!now.name) return now;
  write(name, now.name);
  button.hidden = false;
  const refused = element("span", { role: "alert" });
  button.after(" ", refused);
  button.addEventListener("click", async () => write(refused, await leave()));
  return now;
}

/** Why whoever wanted to leave is still here, or "". A proxy in front of a device that is away answers too, and has ended no session. */
async function leave() {
  try {
    const answer = await fetch("/api/v1/logout", { method: "POST" });
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
