// SPDX-License-Identifier: Apache-2.0
// Who is logged in, where the device wants that.
import { write } from "./element.js";

const address = "/api/v1/session";
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

/** Shows who is logged in and lets them leave; nothing where no login is wanted. Gives back the session. */
export async function greet(button, name) {
  const now = await session();
  if (!now?.name) return now;
  write(name, now.name);
  button.hidden = false;
  button.addEventListener("click", leave);
  return now;
}

async function leave() {
  const answer = await fetch("/api/v1/logout", { method: "POST" });
  if (answer.status !== 500) return logIn();
  leaving = true;
  location.replace("/login?unwritten");
}

/** The login leads back to this page. The status and each picture come to it by themselves: a second call would break off the first. */
export function logIn() {
  if (leaving) return;
  leaving = true;
  location.replace(location.pathname === "/" ? "/login" : `/login?to=${encodeURIComponent(location.pathname)}`);
}
