/** Values of the controls; those left out keep their defaults. */
export interface Settings {
  /** The most by which noise is turned down, in dB: 0 to 60; {@link FULL} for no limit. Default 24. */
  reduction?: number;
  /** Treats more (up) or less (down) of the doubtful sounds as noise, in dB: -12 to 12. Default 0. */
  sensitivity?: number;
  /** Percentage of the room's steady noise to keep: 0 to 100. Default 0. */
  ambience?: number;
  /** Gain after denoising in dB: -24 to 24. Default 0. */
  output?: number;
  /** 0: the result; 1: what was removed. Default 0. */
  listen?: number;
  /** 0: one mask for both channels, which preserves the stereo image; 1: each channel separately. Default 0. */
  stereo?: number;
  /** 1: outputs the input, delayed by the latency. Default 0. */
  bypass?: number;
}

/** Where to find wisp.wasm: an address, or its bytes. By default it is loaded from beside wisp.js. */
export type WasmSource = string | URL | ArrayBuffer | ArrayBufferView;

export interface EngineOptions extends Settings {
  /** 1 or 2. Default 1. */
  channels?: number;
  wasm?: WasmSource;
}

export interface WispNodeOptions extends EngineOptions {
  /** Where to find worklet.js. By default it is loaded from beside wisp.js. */
  worklet?: string | URL;
}

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

/** The ranges and defaults of the controls. */
export const CONTROLS: Readonly<Record<keyof Settings, Range>>;

/** The value of `reduction` for no limit: 61. */
export const FULL: number;

/** Delay from input to output in samples at a sample rate in Hz: 20 ms, rounded to whole samples. */
export function latencySamples(sampleRate: number): number;

/** Denoises one stream of samples, in a page, a worker or Node.js. */
export class Engine {
  private constructor();

  /**
   * Creates an engine for a sample rate of 8000 to 384000 Hz.
   *
   * Rejects with a RangeError or TypeError for an invalid rate, number of channels or control, and with an Error
   * if wisp.wasm cannot be loaded.
   */
  static create(sampleRate: number, options?: EngineOptions): Promise<Engine>;

  readonly sampleRate: number;
  readonly channels: number;
  /** Delay from input to output, samples. */
  readonly latency: number;
  /** Samples of silent input after which the output is silent. */
  readonly tail: number;

  /** Sets controls; the sound follows within 10 ms. */
  set(settings: Settings): void;
  /**
   * Denoises a block in place: one array per channel, equal lengths, any length. The result does not depend on how the sound
   * is divided into blocks. Samples are at full scale ±1; NaN and infinity count as 0.
   */
  process(channels: Float32Array[]): void;
  /** Discards the audio so far; the controls keep their values. */
  reset(): void;
  /** Frees the engine. Later calls throw. */
  close(): void;
}

/**
 * Denoises a recording: one array per channel in, new ones out, of the same length and aligned to the sample. It blocks
 * for about 3 % of the recording's duration: run it in a worker if that matters.
 */
export function denoise(
  channels: Float32Array[],
  sampleRate: number,
  options?: Omit<EngineOptions, "channels">,
): Promise<Float32Array[]>;

/**
 * Denoises in an audio graph.
 *
 * Other numbers of channels are mixed to `channels`. The controls are AudioParams (k-rate).
 */
export class WispNode extends AudioWorkletNode {
  private constructor();

  /** Loads the files and creates a node. Rejects like {@link Engine.create}, and if AudioWorklet or SIMD is missing. */
  static create(context: BaseAudioContext, options?: WispNodeOptions): Promise<WispNode>;

  /** Delay from input to output, seconds: 0.02, rounded to whole samples. */
  readonly latency: number;
  /** The same in samples. */
  readonly latencySamples: number;

  readonly reduction: AudioParam;
  readonly sensitivity: AudioParam;
  readonly ambience: AudioParam;
  readonly output: AudioParam;
  readonly listen: AudioParam;
  readonly stereo: AudioParam;
  readonly bypass: AudioParam;

  /** Discards the audio so far. */
  reset(): void;
  /** Disconnects the node and frees its memory. */
  close(): void;
}
