// SPDX-License-Identifier: Apache-2.0
// Where the time went: a bar of stages, and a table with a row for each and their total.
import { element, svg, write } from "./element.js";
import { milliseconds } from "./format.js";

const usual = { handoff: "hand-off", infer: "inference" };

export class Stages {
  /** Columns are figures of a stage, such as "p50"; the bar shows the first. `words` names stages differently. */
  constructor(names, columns, words = {}) {
    this.names = names;
    this.columns = columns;
    this.words = { ...usual, ...words };
    this.cells = {};
    this.segments = names.map((name) => svg("rect", { class: name, height: 1, y: 0, x: 0, width: 0 }));
    this.node = element("div", { class: "latency" }, this.bar(), this.table());
  }

  bar() {
    return svg("svg", { class: "bar", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, ...this.segments);
  }

  table() {
    const head = ["stage, ms", ...this.columns].map((text) => element("th", { scope: "col" }, text));
    const rows = [...this.names, "total"].map((name) => this.row(name));
    return element("table", { class: "stages" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  }

  row(name) {
    const cells = this.columns.map((column) => (this.cells[`${name}.${column}`] = element("td", {}, "–")));
    const key = name === "total" ? [] : [element("span", { class: `key ${name}` })];
    return element("tr", {}, element("th", { scope: "row" }, ...key, this.words[name] ?? name), ...cells);
  }

  /** Shows { stage: { column: ms } }. */
  show(latency) {
    const longest = (name) => latency[name]?.[this.columns[0]] ?? 0;
    const sum = this.names.reduce((total, name) => total + longest(name), 0) || 1;
    let x = 0;
    this.names.forEach((name, i) => {
      const width = (100 * longest(name)) / sum;
      this.segments[i].setAttribute("x", x.toFixed(2));
      this.segments[i].setAttribute("width", width.toFixed(2));
      x += width;
    });
    for (const name of [...this.names, "total"]) {
      for (const column of this.columns) write(this.cells[`${name}.${column}`], milliseconds(latency[name]?.[column]));
    }
  }
}
