// Wisp: real-time voice denoiser. https://wisp.audio
//
// WispNode denoises in an audio graph; denoise() and Engine work on samples, in a page, a worker or Node.js.

/** The controls: ranges and defaults. Their order is that of the module's numbers. */
export const CONTROLS = Object.freeze({
  reduction: Object.freeze({ min: 0, max: 61, default: 24 }),
  sensitivity: Object.freeze({ min: -12, max: 12, default: 0 }),
  ambience: Object.freeze({ min: 0, max: 100, default: 0 }),
  output: Object.freeze({ min: -24, max: 24, default: 0 }),
  listen: Object.freeze({ min: 0, max: 1, default: 0 }),
  stereo: Object.freeze({ min: 0, max: 1, default: 0 }),
  bypass: Object.freeze({ min: 0, max: 1, default: 0 }),
});

/** The value of `reduction` that stands for all that can be removed. */
export const FULL = CONTROLS.reduction.max;

const NAMES = Object.keys(CONTROLS);
const RATES = { min: 8000, max: 384000 };
/** Samples that an engine takes at once. */
const BLOCK = 4096;

/** Delay in samples at a sample rate in Hz: two hops of 10 ms, rounded to whole samples. */
export function latencySamples(sampleRate) {
  return 2 * Math.floor((sampleRate + 50) / 100);
}

function check(sampleRate, channels, settings) {
  if (!(sampleRate >= RATES.min && sampleRate <= RATES.max)) {
    throw new RangeError(`sample rate ${sampleRate} Hz, expected ${RATES.min} to ${RATES.max}`);
  }
  if (channels !== 1 && channels !== 2) {
    throw new RangeError(`${channels} channels, expected 1 or 2`);
  }
  checkSettings(settings);
}

function checkSettings(settings) {
  for (const [name, value] of Object.entries(settings)) {
    const control = CONTROLS[name];
    if (!control) {
      throw new TypeError(`no control or option "${name}", expected ${NAMES.join(", ")}`);
    }
    if (!(value >= control.min && value <= control.max)) {
      throw new RangeError(`${name} ${value}, expected ${control.min} to ${control.max}`);
    }
  }
}

let bundled;

/** The bytes of wisp.wasm: given, fetched from an address, or those beside this file, which are loaded once. */
async function load(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
  if (source !== undefined) return read(new URL(source, globalThis.location?.href));
  bundled ??= read(new URL("./wisp.wasm", import.meta.url));
  try {
    return await bundled;
  } catch (error) {
    bundled = undefined; // the next call tries again
    throw error;
  }
}

async function read(url) {
  if (url.protocol === "file:" && globalThis.process?.versions?.node) {
    const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`cannot load ${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

const modules = new WeakMap();

/** The compiled module of these bytes. */
function compile(bytes) {
  if (!modules.has(bytes)) modules.set(bytes, WebAssembly.compile(bytes));
  return modules.get(bytes);
}

/** One stream of samples. */
export class Engine {
  #wasm;
  #engine;
  #views;
  #closed = false;

  /** An engine for a sample rate in Hz. `options`: `channels` (1), `wasm`, and the controls. */
  static async create(sampleRate, { channels = 1, wasm, ...settings } = {}) {
    check(sampleRate, channels, settings);
    const module = await compile(await load(wasm));
    const engine = new Engine(module, Math.round(sampleRate), channels);
    engine.set(settings);
    return engine;
  }

  /** @private Use create(). */
  constructor(module, sampleRate, channels) {
    this.#wasm = new WebAssembly.Instance(module).exports;
    const { wisp_new, wisp_audio, wisp_latency, wisp_tail } = this.#wasm;
    this.#engine = wisp_new(sampleRate, channels, BLOCK);
    if (!this.#engine) throw new Error("the engine could not be created");
    const at = wisp_audio(this.#engine);
    const { buffer } = this.#wasm.memory;
    this.#views = Array.from({ length: channels }, (_, i) => new Float32Array(buffer, at + 4 * BLOCK * i, BLOCK));
    this.sampleRate = sampleRate;
    this.channels = channels;
    this.latency = wisp_latency(this.#engine);
    this.tail = wisp_tail(this.#engine);
  }

  #open() {
    if (this.#closed) throw new Error("the engine is closed");
  }

  /** Sets controls by name. */
  set(settings) {
    this.#open();
    checkSettings(settings);
    for (const [name, value] of Object.entries(settings)) {
      this.#wasm.wisp_set(this.#engine, NAMES.indexOf(name), value);
    }
  }

  /** Denoises a block in place: one Float32Array per channel, equal lengths, any length. */
  process(channels) {
    this.#open();
    if (channels.length !== this.channels) {
      throw new RangeError(`${channels.length} channels, expected ${this.channels}`);
    }
    const length = channels[0].length;
    if (channels.some((channel) => channel.length !== length)) {
      throw new RangeError("the channels differ in length");
    }
    for (let at = 0; at < length; at += BLOCK) {
      const to = Math.min(at + BLOCK, length);
      for (let i = 0; i < channels.length; i++) this.#views[i].set(channels[i].subarray(at, to));
      this.#wasm.wisp_process(this.#engine, to - at);
      for (let i = 0; i < channels.length; i++) channels[i].set(this.#views[i].subarray(0, to - at), at);
    }
  }

  /** Forgets the sound so far; the controls stay. */
  reset() {
    this.#open();
    this.#wasm.wisp_reset(this.#engine);
  }

  /** Frees the memory. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#wasm.wisp_free(this.#engine);
  }
}

/**
 * Denoises a recording: one Float32Array per channel in, new ones out, of the same length and aligned to the sample.
 *
 * `options` as for Engine.create().
 */
export async function denoise(channels, sampleRate, options = {}) {
  const engine = await Engine.create(sampleRate, { ...options, channels: channels.length });
  try {
    const length = channels[0].length;
    const late = channels.map((channel) => {
      const longer = new Float32Array(length + engine.latency);
      longer.set(channel);
      return longer;
    });
    engine.process(late);
    return late.map((channel) => channel.slice(engine.latency));
  } finally {
    engine.close();
  }
}

const worklets = new WeakMap();

/** Denoises in an audio graph. An AudioWorkletNode with one input, one output, and the controls as AudioParams. */
export class WispNode extends (globalThis.AudioWorkletNode ?? Object) {
  /** A node of a context. `options`: `channels` (1), `wasm`, `worklet`, and the controls. */
  static async create(context, { channels = 1, wasm, worklet, ...settings } = {}) {
    check(context.sampleRate, channels, settings);
    if (!context.audioWorklet) {
      throw new Error("AudioWorklet is missing: the page must come from https or localhost, in a browser of 2021 or later");
    }
    // Bytes, because not every browser allows compiled modules in a worklet.
    const bytes = await load(wasm);
    if (!WebAssembly.validate(bytes)) {
      throw new Error("this browser cannot run wisp.wasm: it needs WebAssembly with 128-bit SIMD");
    }
    if (!worklets.has(context)) {
      worklets.set(context, context.audioWorklet.addModule(worklet ?? new URL("./worklet.js", import.meta.url)));
    }
    try {
      await worklets.get(context);
    } catch (cause) {
      worklets.delete(context); // the next call tries again
      throw new Error("cannot load the worklet", { cause });
    }
    return new WispNode(context, bytes, channels, settings);
  }

  /** @private Use create(). */
  constructor(context, bytes, channels, settings) {
    super(context, "wisp-denoise", {
      numberOfInputs: 1,
      numberOfOutputs: 1,
      outputChannelCount: [channels],
      channelCount: channels,
      channelCountMode: "explicit",
      parameterData: settings,
      processorOptions: { bytes, channels },
    });
    this.latencySamples = latencySamples(context.sampleRate);
    this.latency = this.latencySamples / context.sampleRate;
  }

  /** Forgets the sound so far. */
  reset() {
    this.port.postMessage("reset");
  }

  /** Disconnects the node and frees its memory. */
  close() {
    this.disconnect();
    this.port.postMessage("close");
  }
}

for (const name of NAMES) {
  Object.defineProperty(WispNode.prototype, name, {
    get() {
      return this.parameters.get(name);
    },
  });
}
