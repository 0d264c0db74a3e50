// SPDX-License-Identifier: Apache-2.0
// Makes the first administrator, who is logged in by that.
import { sendForm } from "./form.js";

sendForm(document.getElementById("claim"), "/api/v1/claim", () => location.replace("/"));
