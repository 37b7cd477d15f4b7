// Tests of the built package in Node.js: node --test package.test.mjs, with its folder in WISP_PACKAGE.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { createContext, runInContext } from "node:vm";

const folder = pathToFileURL(`${process.env.WISP_PACKAGE}/`);
const { CONTROLS, Engine, FULL, WispNode, denoise, latencySamples } = await import(new URL("wisp.js", folder));
const bytes = await readFile(new URL("wisp.wasm", folder));

/** A hum with bursts of noise, the same in every run. */
function hum(length, seed = 1) {
  let state = seed;
  return Float32Array.from({ length }, (_, n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 0.2 * Math.sin(n * 0.02) + (n % 9000 < 3000 ? 0.2 : 0.01) * (state / 2 ** 32 - 0.5);
  });
}

const same = (a, b) => Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0;

test("the module imports nothing and its memory does not grow while it works", async () => {
  const module = await WebAssembly.compile(bytes);
  assert.deepEqual(WebAssembly.Module.imports(module), []);
  const { exports } = new WebAssembly.Instance(module);
  const engine = exports.wisp_new(48000, 2, 4096);
  const { buffer } = exports.memory;
  const samples = new Float32Array(buffer, exports.wisp_audio(engine), 2 * 4096);
  for (let block = 0; block < 200; block++) {
    samples.set(hum(2 * 4096, block));
    exports.wisp_set(engine, block % 7, block);
    exports.wisp_process(engine, [1, 128, 4096, 0][block % 4]);
  }
  exports.wisp_reset(engine);
  assert.equal(exports.memory.buffer, buffer);
  assert.ok(samples.every(Number.isFinite));
});

test("what the module does not take is refused", () => {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  for (const [rate, channels, block] of [[7999, 1, 128], [384001, 1, 128], [48000, 0, 128], [48000, 3, 128], [48000, 1, 0], [48000, 1, 1 << 20]]) {
    assert.equal(exports.wisp_new(rate, channels, block), 0);
  }
});

test("the block size changes no bit", async () => {
  for (const [sampleRate, channels] of [[48000, 1], [44100, 2], [11025, 2]]) {
    const input = Array.from({ length: channels }, (_, i) => hum(30000, i + 1));
    const engine = await Engine.create(sampleRate, { channels, reduction: 18 });
    const whole = input.map((channel) => channel.slice());
    engine.process(whole);
    engine.reset();
    const pieces = input.map((channel) => channel.slice());
    for (let at = 0, i = 0; at < 30000; i++) {
      const to = at + [1, 128, 5000, 441, 0][i % 5];
      engine.process(pieces.map((channel) => channel.subarray(at, to)));
      at = to;
    }
    engine.close();
    whole.forEach((channel, i) => assert.ok(same(channel, pieces[i]), `${sampleRate} Hz, channel ${i}`));
    assert.ok(!same(whole[0], input[0]));
  }
});

test("a recording keeps its length and place", async () => {
  for (const length of [0, 1, 959, 960, 961, 10000]) {
    const input = hum(length);
    const [kept] = await denoise([input], 48000, { reduction: 0 });
    assert.ok(same(kept, input), `${length} samples`);
  }
  const [left, right] = [hum(20000, 1), hum(20000, 2)];
  const result = await denoise([left, right], 44100);
  const removed = await denoise([left, right], 44100, { listen: 1 });
  result[1].forEach((y, n) => assert.ok(Math.abs(y + removed[1][n] - right[n]) < 1e-6));
});

test("the latency is known without an engine", async () => {
  for (const sampleRate of [8000, 11025, 16000, 22050, 44056, 44100, 47952, 48000, 96000, 384000]) {
    const engine = await Engine.create(sampleRate);
    assert.equal(engine.latency, latencySamples(sampleRate));
    assert.ok(engine.tail > engine.latency);
    engine.close();
  }
});

test("errors say what is expected", async () => {
  await assert.rejects(Engine.create(3000), { name: "RangeError", message: "sample rate 3000 Hz, expected 8000 to 384000" });
  await assert.rejects(Engine.create(NaN), RangeError);
  await assert.rejects(Engine.create(48000, { channels: 3 }), { name: "RangeError", message: "3 channels, expected 1 or 2" });
  await assert.rejects(Engine.create(48000, { reduktion: 3 }), { name: "TypeError", message: /no control or option "reduktion"/ });
  await assert.rejects(Engine.create(48000, { reduction: 62 }), { name: "RangeError", message: "reduction 62, expected 0 to 61" });
  await assert.rejects(Engine.create(48000, { ambience: NaN }), RangeError);
  await assert.rejects(Engine.create(48000, { wasm: new URL("no-such.wasm", folder) }), { code: "ENOENT" });
  await assert.rejects(Engine.create(48000, { wasm: new Uint8Array(10) }), WebAssembly.CompileError);
  await assert.rejects(WispNode.create({ sampleRate: 48000 }), /AudioWorklet is missing/);
  await assert.rejects(denoise([], 48000), RangeError);
  const engine = await Engine.create(48000, { wasm: bytes });
  assert.throws(() => engine.process([new Float32Array(1), new Float32Array(1)]), RangeError);
  assert.throws(() => engine.set({ listen: 2 }), RangeError);
  engine.close();
  engine.close();
  assert.throws(() => engine.process([new Float32Array(1)]), /closed/);
});

/** The processor as the audio thread makes it. */
async function processor(sampleRate, channels) {
  // A module has a scope of its own.
  const source = `(() => {${await readFile(new URL("worklet.js", folder), "utf8")}})()`;
  let made;
  const globals = { sampleRate, WebAssembly, Float32Array, RangeError, registerProcessor: (_, type) => (made = type) };
  globals.AudioWorkletProcessor = class {
    port = { sent: [], postMessage: (message) => this.port.sent.push(message) };
  };
  const context = createContext(globals);
  runInContext(source, context);
  runInContext(source, context); // loaded twice
  const values = {};
  for (const { name, defaultValue } of made.parameterDescriptors) values[name] = new Float32Array([defaultValue]);
  return { type: made, node: new made({ processorOptions: { bytes, channels } }), values };
}

test("the worklet has the package's controls", async () => {
  const { type } = await processor(48000, 1);
  const described = type.parameterDescriptors.map((d) => [d.name, { min: d.minValue, max: d.maxValue, default: d.defaultValue }]);
  // Made in another realm.
  assert.deepEqual(JSON.parse(JSON.stringify(described)), Object.entries(CONTROLS));
});

test("the worklet gives the engine's samples, in any render quantum", async () => {
  for (const [quantum, channels] of [[128, 1], [128, 2], [300, 2]]) {
    const { node, values } = await processor(48000, channels);
    const expected = Array.from({ length: channels }, (_, i) => hum(quantum * 100, i + 1));
    const input = expected.map((channel) => channel.slice());
    const engine = await Engine.create(48000, { channels, reduction: FULL, listen: 1 });
    engine.process(expected);
    values.reduction[0] = FULL;
    values.listen[0] = 1;
    for (let at = 0; at < quantum * 100; at += quantum) {
      const output = input.map(() => new Float32Array(quantum));
      assert.ok(node.process([input.map((channel) => channel.subarray(at, at + quantum))], [output], values));
      output.forEach((channel, i) => assert.ok(same(channel, expected[i].subarray(at, at + quantum)), `sample ${at}`));
    }
  }
});

test("the worklet ends after its tail, or when it is closed", async () => {
  const { node, values } = await processor(48000, 1);
  const output = [new Float32Array(128)];
  assert.ok(node.process([[hum(128)]], [output], values));
  let calls = 1;
  while (node.process([[]], [output], values)) calls++;
  assert.ok(calls * 128 >= node.tail && calls * 128 < node.tail + 256);
  assert.ok(output[0].every((y) => y === 0));
  assert.ok(node.process([[hum(128)]], [output], values), "sound again");
  node.port.onmessage({ data: "reset" });
  assert.ok(node.process([[hum(128)]], [output], values));
  node.port.onmessage({ data: "close" });
  node.port.onmessage({ data: "reset" });
  assert.equal(node.process([[hum(128)]], [output], values), false);
});

test("after a trap the sound goes through", async () => {
  const { node, values } = await processor(48000, 1);
  node.wasm = { ...node.wasm, wisp_process: () => { throw new WebAssembly.RuntimeError("unreachable"); } };
  const input = hum(128);
  const output = [new Float32Array(128)];
  node.process([[input]], [output], values);
  assert.match(node.port.sent[0].error, /unreachable/);
  assert.ok(node.process([[input]], [output], values));
  assert.ok(same(output[0], input));
});
