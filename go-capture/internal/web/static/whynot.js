// SPDX-License-Identifier: Apache-2.0
// Why there is no WebSocket. A browser does not say, so it is asked for once more plainly, and says itself where this page is from: to
// a WebSocket the browser adds that as Origin, to a plain question it does not.
import { ask } from "./ask.js";
import { silentDevice } from "./problems.js";
import { logIn } from "./session.js";

/** The device would open one now, and none stood: what lies in between does not pass it on. */
const noSockets = ["Something between this browser and the device passes no WebSockets",
  "Let the proxy in front of the device pass the header Upgrade on."];

export class WhyNot {
  constructor() {
    this.unexplained = 0; // connections in a row that never stood though the device would open one
  }

  /** One stood. */
  stands() { this.unexplained = 0; }

  /** [what, remedy]; null when the login says it, or when there may be a connection at the next try: there was none just now. */
  async of(address) {
    const why = await answerOf(address);
    this.unexplained = why === noSockets ? this.unexplained + 1 : 0;
    return this.unexplained === 1 ? null : why;
  }
}

async function answerOf(address) {
  try {
    const answer = await ask(address, { headers: { "X-Page-Origin": location.origin } });
    if (answer.status === 401) return logIn() ?? null;
    if (answer.status === 426) return noSockets;
    const { title, detail } = await answer.json();
    return [title, detail];
  } catch {
    return silentDevice;
  }
}
