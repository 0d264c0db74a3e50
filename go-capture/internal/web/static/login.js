// SPDX-License-Identifier: Apache-2.0
// Sends name and password as JSON, which no other site's page can, and says why they are not taken.
import { sendForm } from "./form.js";
import { session } from "./session.js";

// Where the login leads is not for whoever made the link to choose.
const pages = ["/try"];
const wanted = new URLSearchParams(location.search).get("to");
const enter = () => location.replace(pages.includes(wanted) ? wanted : "/");

sendForm(document.getElementById("login"), "/api/v1/login", enter);

// A link from another site comes without the cookie, so whoever is logged in may see this page; from here it goes along.
const now = await session();
if (now && (now.name || !now.required)) enter();
else if (now?.claim && !now.logins) location.replace("/claim");
else document.getElementById("unclaimed").hidden = !now?.claim;
