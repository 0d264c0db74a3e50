// SPDX-License-Identifier: Apache-2.0
// Sends name and password as JSON, which no other site's page can, and says why they are not taken.
import { sendForm } from "./form.js";
import { session } from "./session.js";

// Where the login leads is not for whoever made the link to choose.
const pages = ["/try"];
const lookMs = 5000;
const asked = new URLSearchParams(location.search);
const wanted = asked.get("to");
const enter = () => location.replace(pages.includes(wanted) ? wanted : "/");

sendForm(document.getElementById("login"), "/api/v1/login", enter);

if (asked.has("unwritten")) {
  const refused = document.getElementById("refused");
  refused.textContent = "You are logged out, but the device cannot write that down: after a restart your old session holds again. Its log says why.";
  refused.hidden = false;
}

// A link from another site comes without the cookie, so whoever is logged in may see this page; from here it goes along. It is asked
// again and again: a page on a wall is sent here also where the device cannot read its logins for a moment.
async function look() {
  const now = document.hidden ? null : await session();
  if (now && (now.name || !now.required)) return enter();
  if (now?.claim && !now.logins) return location.replace("/claim");
  if (now) document.getElementById("unclaimed").hidden = !now.claim;
  setTimeout(look, lookMs);
}

look();
