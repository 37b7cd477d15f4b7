// Wisp in the audio thread: the processor of WispNode. It imports nothing, so that bundlers can copy it unchanged.

/** Ranges and defaults of the controls, in the order of the module's numbers: those of CONTROLS in wisp.js. */
const CONTROLS = [
  ["reduction", 0, 61, 24],
  ["sensitivity", -12, 12, 0],
  ["ambience", 0, 100, 0],
  ["output", -24, 24, 0],
  ["listen", 0, 1, 0],
  ["stereo", 0, 1, 0],
  ["bypass", 0, 1, 0],
];
const NAMES = CONTROLS.map(([name]) => name);

/** Samples per call: the render quantum of today's browsers. Longer ones are cut. */
const BLOCK = 128;

/** Compiled once for all nodes of a context. */
let compiled;

class WispProcessor extends AudioWorkletProcessor {
  static get parameterDescriptors() {
    return CONTROLS.map(([name, minValue, maxValue, defaultValue]) => {
      return { name, minValue, maxValue, defaultValue, automationRate: "k-rate" };
    });
  }

  constructor({ processorOptions: { bytes, channels } }) {
    super();
    // At once: an offline context may render before anything asynchronous has happened.
    compiled ??= new WebAssembly.Module(bytes);
    this.wasm = new WebAssembly.Instance(compiled).exports;
    this.engine = this.wasm.wisp_new(Math.round(sampleRate), channels, BLOCK);
    if (!this.engine) throw new RangeError(`wisp: ${channels} channels at ${sampleRate} Hz`);
    // The memory never grows again, so these views stay valid.
    const at = this.wasm.wisp_audio(this.engine);
    const { buffer } = this.wasm.memory;
    this.views = Array.from({ length: channels }, (_, i) => new Float32Array(buffer, at + 4 * BLOCK * i, BLOCK));
    this.values = new Float32Array(NAMES.length).fill(NaN);
    this.tail = this.wasm.wisp_tail(this.engine);
    this.silent = 0;
    this.open = true;
    this.broken = false;
    this.port.onmessage = ({ data }) => {
      if (data === "reset" && this.open && !this.broken) this.wasm.wisp_reset(this.engine);
      if (data === "close") {
        this.open = false;
        this.wasm = this.views = undefined;
      }
    };
  }

  process([input], [output], parameters) {
    if (!this.open) return false;
    const samples = output[0].length;
    if (this.broken) {
      for (let i = 0; i < output.length && i < input.length; i++) output[i].set(input[i]);
      return input.length > 0;
    }
    try {
      this.denoise(input, output, samples, parameters);
    } catch (error) {
      // A bug in Wisp: from now on the input passes through.
      this.broken = true;
      this.port.postMessage({ error: String(error) });
    }
    this.silent = input.length > 0 ? 0 : this.silent + samples;
    return this.silent <= this.tail;
  }

  /** Without an allocation: the garbage collector must find nothing to do in this thread. */
  denoise(input, output, samples, parameters) {
    const { wasm, engine, views, values } = this;
    for (let i = 0; i < NAMES.length; i++) {
      const value = parameters[NAMES[i]][0];
      if (value !== values[i]) {
        values[i] = value;
        wasm.wisp_set(engine, i, value);
      }
    }
    for (let at = 0; at < samples; at += BLOCK) {
      const length = Math.min(BLOCK, samples - at);
      for (let i = 0; i < views.length; i++) {
        const view = views[i];
        const from = input[i];
        for (let n = 0; n < length; n++) view[n] = from ? from[at + n] : 0;
      }
      wasm.wisp_process(engine, length);
      for (let i = 0; i < views.length; i++) {
        const view = views[i];
        const to = output[i];
        for (let n = 0; n < length; n++) to[at + n] = view[n];
      }
    }
  }
}

// A page may load the package twice.
if (!globalThis.wispDenoise) {
  globalThis.wispDenoise = true;
  registerProcessor("wisp-denoise", WispProcessor);
}
