// The microphone, cleaned live and recorded unprocessed.
import { FULL, WispNode } from "../wisp.js";
import { level } from "./picture.js";
import { Mixer } from "./player.js";
import { ROWS, edges, intoRows } from "./spectrum.js";

/** Columns of the picture, and seconds per column. */
export const COLUMNS = 400;
export const STEP = 0.02;
/** An AnalyserNode shows a sine of amplitude 1 at this level, dB. */
const ANALYSER_DB = -13.6;

export class Live {
  /** Asks for the microphone and starts. */
  static async start(listen, settings) {
    // The browser's own processing would remove the noise first.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    const context = new AudioContext({ latencyHint: "interactive" });
    try {
      await context.audioWorklet.addModule(new URL("./recorder.js", import.meta.url));
      const { reduction, ...others } = settings;
      const wisp = await WispNode.create(context, { ...others, reduction: FULL, listen: 1 });
      await context.resume();
      return new Live(stream, context, wisp, listen, reduction);
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      throw error;
    }
  }

  constructor(stream, context, wisp, listen, reduction) {
    Object.assign(this, { stream, context, wisp });
    this.sampleRate = context.sampleRate;
    this.blocks = [];
    const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
    const mono = new GainNode(context, { channelCount: 1, channelCountMode: "explicit" });
    const late = new DelayNode(context, { maxDelayTime: 1, delayTime: wisp.latency });
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    recorder.port.onmessage = ({ data }) => this.blocks.push(data.slice());
    source.connect(mono);
    mono.connect(recorder);
    mono.connect(late);
    mono.connect(wisp);
    this.mixer = new Mixer(context, listen, reduction);
    late.connect(this.mixer.dry);
    wisp.connect(this.mixer.removed);
    this.monitor = new GainNode(context, { gain: 0 });
    this.mixer.output.connect(this.monitor);
    this.monitor.connect(context.destination);
    // The picture shows before, after and removed, independently of Listen.
    this.after = new Mixer(context, "after", reduction);
    late.connect(this.after.dry);
    wisp.connect(this.after.removed);
    const fftSize = 2 ** Math.round(Math.log2(context.sampleRate * 0.043));
    this.analysers = [late, this.after.output, wisp].map((node) => {
      const analyser = new AnalyserNode(context, { fftSize, smoothingTimeConstant: 0 });
      node.connect(analyser);
      return analyser;
    });
    // Nodes without a path to the destination would not run.
    const silent = new GainNode(context, { gain: 0 });
    this.analysers.forEach((analyser) => analyser.connect(silent));
    silent.connect(context.destination);
    this.edges = edges(context.sampleRate);
    this.spectrum = new Float32Array(fftSize / 2);
    this.powers = new Float32Array(fftSize / 2 + 1);
    this.rows = new Float64Array(ROWS);
    this.levels = this.analysers.map(() => new Uint8Array(COLUMNS * ROWS));
    this.drawn = context.currentTime;
  }

  get seconds() {
    return this.blocks.length / 10;
  }

  set(listen, reduction) {
    this.mixer.set(listen, reduction);
    this.after.set("after", reduction);
  }

  hear(on) {
    this.monitor.gain.setTargetAtTime(on ? 1 : 0, this.context.currentTime, 0.01);
  }

  /** Shifts the levels by the time that has passed; whether there is a new column. */
  advance() {
    const passed = Math.floor((this.context.currentTime - this.drawn) / STEP);
    if (passed < 1) return false;
    this.drawn += passed * STEP;
    const columns = Math.min(passed, COLUMNS);
    this.analysers.forEach((analyser, i) => {
      analyser.getFloatFrequencyData(this.spectrum);
      for (let bin = 0; bin < this.spectrum.length; bin++) {
        const power = 10 ** ((this.spectrum[bin] - ANALYSER_DB) / 10);
        this.powers[bin] = Number.isFinite(power) ? power : 0;
      }
      this.rows.fill(0);
      intoRows(this.powers, this.sampleRate, this.edges, this.rows);
      const levels = this.levels[i];
      levels.copyWithin(0, columns * ROWS);
      for (let column = COLUMNS - columns; column < COLUMNS; column++) {
        for (let row = 0; row < ROWS; row++) levels[column * ROWS + row] = level(this.rows[row]);
      }
    });
    return true;
  }

  /** Stops; what was recorded. */
  stop() {
    this.stream.getTracks().forEach((track) => track.stop());
    this.wisp.close();
    this.context.close();
    const samples = new Float32Array(this.blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of this.blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return samples;
  }
}
