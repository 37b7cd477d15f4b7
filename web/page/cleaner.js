// A worker: computes the removed signal of a recording, and its picture.
import { Engine, FULL } from "../wisp.js";
import { spectra } from "./spectrum.js";

onmessage = async ({ data: { channels, sampleRate, settings, columns } }) => {
  try {
    const started = performance.now();
    // The removed signal at Full: Reduction only scales it, so the page does that during playback.
    const engine = await Engine.create(sampleRate, { ...settings, channels: channels.length, reduction: FULL, listen: 1 });
    const length = channels[0].length;
    const late = channels.map((channel) => {
      const longer = new Float32Array(length + engine.latency);
      longer.set(channel);
      return longer;
    });
    for (let at = 0; at < late[0].length; at += sampleRate) {
      engine.process(late.map((channel) => channel.subarray(at, at + sampleRate)));
      postMessage({ done: Math.min(1, (at + sampleRate) / length) });
    }
    const removed = late.map((channel) => channel.slice(engine.latency));
    engine.close();
    const seconds = (performance.now() - started) / 1000;
    const cells = spectra(channels, removed, sampleRate, columns);
    postMessage({ removed, cells, seconds }, [...removed, ...cells].map((array) => array.buffer));
  } catch (error) {
    postMessage({ error: error.message });
  }
};
