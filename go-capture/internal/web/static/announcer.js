// SPDX-License-Identifier: Apache-2.0
// For readers of the screen: which cameras have news, now and then; nothing while all stays as it was.
import { sentence } from "./camera.js";
import { now } from "./clock.js";
import { write } from "./element.js";

const usualPauseMs = 5000;

export class Announcer {
  constructor(node, pauseMs = usualPauseMs) {
    this.node = node;
    this.pauseMs = pauseMs;
    this.told = new Map();
    this.toldAt = -pauseMs;
  }

  hear(cameras) {
    const news = cameras.filter((camera) => this.told.get(camera.id) !== sentence(camera));
    if (news.length === 0 || now() - this.toldAt < this.pauseMs) return;
    this.toldAt = now();
    for (const camera of news) this.told.set(camera.id, sentence(camera));
    write(this.node, news.map(sentence).join("; "));
  }
}
