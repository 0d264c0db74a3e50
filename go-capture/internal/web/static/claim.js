// SPDX-License-Identifier: Apache-2.0
// Makes the first administrator, who is logged in by that.
import { sendForm } from "./form.js";
import { session } from "./session.js";

const form = document.getElementById("claim");
sendForm(form, "/api/v1/claim", () => location.replace("/"));

const now = await session();
if (now?.required === false) location.replace("/");
form.hidden = now?.claim === false;
document.getElementById("over").hidden = !form.hidden;
document.getElementById("known").hidden = !now?.logins;
