// SPDX-License-Identifier: Apache-2.0
// Sends name and password as JSON, which no other site's page can, and says why they are not taken.
import { sendForm } from "./form.js";
import { session } from "./session.js";

const enter = () => location.replace("/");

sendForm(document.getElementById("login"), "/api/v1/login", enter);

// A link from another site comes without the cookie, so whoever is logged in may see this page; from here it goes along.
const now = await session();
if (now?.claim) location.replace("/claim");
else if (now && (now.name || !now.required)) enter();
