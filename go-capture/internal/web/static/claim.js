// SPDX-License-Identifier: Apache-2.0
// Makes the first administrator, who is logged in by that.
import { sendForm } from "./form.js";
import { session } from "./session.js";

sendForm(document.getElementById("claim"), "/api/v1/claim", () => location.replace("/"));

document.getElementById("known").hidden = !(await session())?.logins;
