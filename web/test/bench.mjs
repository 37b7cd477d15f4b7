// How long 10 ms take: node bench.mjs WASM... Times are medians of rounds in which the files take turns, ms; the last column
// is relative to the first file.
import { readFileSync } from "node:fs";

const RATE = 48000;
const HOPS = 200;
const ROUNDS = 30;

const engines = process.argv.slice(2).map((file) => {
  const wasm = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file))).exports;
  const engine = wasm.wisp_new(RATE, 1, 480);
  const view = new Float32Array(wasm.memory.buffer, wasm.wisp_audio(engine), 480);
  let n = 0;
  const hop = () => {
    for (let i = 0; i < 480; i++, n++) {
      view[i] = 0.2 * Math.sin(n * 0.02) + (n % 9000 < 3000 ? 0.2 : 0.01) * (Math.random() - 0.5);
    }
    const start = performance.now();
    wasm.wisp_process(engine, 480);
    return performance.now() - start;
  };
  return { file, hop, rounds: [] };
});
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
for (let round = 0; round < ROUNDS; round++) {
  for (const engine of engines) {
    const times = Array.from({ length: HOPS }, engine.hop);
    // The first rounds run code that is still being compiled.
    if (round >= 5) engine.rounds.push(median(times));
  }
}
for (const { file, rounds } of engines) {
  const ratio = median(rounds) / median(engines[0].rounds);
  console.log(`${file}: ${median(rounds).toFixed(3)} (least ${Math.min(...rounds).toFixed(3)}), ${ratio.toFixed(2)}`);
}
