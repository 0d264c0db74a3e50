// SPDX-License-Identifier: Apache-2.0
// What is shown, and what was chosen last and is not there yet: a camera or a picture each, which open, may take long for it, and close.
// Every opening and every file is another one, so that what comes late for one is never taken for the next one's.

export class Chosen {
  /** Calls `uses()` when something else is shown, `waits()` also when something else is coming, and `told` with [what, remedy] or null. */
  constructor({ uses, waits, told }) {
    Object.assign(this, { uses, waits, told });
    this.shown = null; // a closed camera while another one starts in its place
    this.coming = null;
  }

  /** Whether this is what people see now. */
  has(picture) { return picture === this.shown && !picture.closed; }

  /** Shows `next` as soon as it is there, unless something else is chosen by then. */
  async bring(next) {
    this.coming?.close();
    this.coming = next;
    this.waits();
    try {
      await next.open();
    } catch (error) {
      if (next === this.coming) this.end(next, next.refusal(error));
    }
    if (next !== this.coming) return;
    this.coming = null;
    this.told(null);
    this.use(next);
  }

  /** Ends what is shown or does not come, and says why. What else is shown stays. */
  end(picture, problem) {
    picture.close();
    if (picture === this.coming) this.coming = null;
    this.told(problem);
    this.use(this.shown?.closed ? null : this.shown);
  }

  /** Shows nothing any more, and nothing that is coming. */
  forget() {
    this.coming?.close();
    this.coming = null;
    this.use(null);
  }

  use(next) {
    const old = this.shown;
    this.shown = next;
    if (next !== old) {
      old?.close();
      this.uses();
    }
    this.waits();
  }
}
