// SPDX-License-Identifier: Apache-2.0
// How far the build of a TensorRT engine is: a line and a bar while there is one.
import { element, write } from "./element.js";
import { age } from "./format.js";

/** "TensorRT engine for centerface (fp16) is being built: 42 %, detection runs on onnxruntime meanwhile" */
export function sentence(engine, workers) {
  const form = engine.precision && ` (${engine.precision})`;
  const backends = [...new Set(workers.map((worker) => worker.backend))].join(", ");
  const meanwhile = backends ? `detection runs on ${backends} meanwhile` : "detection starts when it is ready";
  return `TensorRT engine for ${engine.model}${form} is being built: ${engine.percent} %, ${meanwhile}`;
}

/** Shows the build of a status in `place`, which is hidden while there is none. `toldAt` is the device's own time, which may be any. */
export function showEngine(place, { engine, workers }, toldAt) {
  place.hidden = engine?.state !== "building";
  if (place.hidden) return place.replaceChildren();
  if (!place.firstChild) {
    place.append(element("p", {}), element("progress", { max: 100, "aria-label": "Build of the TensorRT engine" }), element("small", {}));
  }
  const [line, bar, about] = place.children;
  write(line, sentence(engine, workers));
  bar.value = engine.percent;
  const sinceMs = Math.max(0, toldAt - Date.parse(engine.since));
  write(about, [engine.phase, `for ${age(sinceMs)}`].filter(Boolean).join(", "));
}
