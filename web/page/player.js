// Playback: the recording minus a share of its removed signal.
import { FULL } from "../wisp.js";

/** Share of the removed signal that is subtracted at a Reduction in dB. */
export function amountOf(reduction) {
  return reduction >= FULL ? 1 : 1 - 10 ** (-reduction / 20);
}

/** Two inputs, `dry` and `removed`, and the gains that make one of three things of them. */
export class Mixer {
  constructor(context, listen, reduction) {
    this.context = context;
    this.dry = new GainNode(context);
    this.removed = new GainNode(context);
    this.output = new GainNode(context);
    this.dry.connect(this.output);
    this.removed.connect(this.output);
    const [dry, removed] = this.#gains(listen, reduction);
    this.dry.gain.value = dry;
    this.removed.gain.value = removed;
  }

  #gains(listen, reduction) {
    const amount = amountOf(reduction);
    return { before: [1, 0], after: [1, -amount], removed: [0, amount] }[listen];
  }

  /** Over 15 ms, so that nothing clicks. */
  set(listen, reduction) {
    const now = this.context.currentTime;
    this.#gains(listen, reduction).forEach((gain, i) => {
      [this.dry, this.removed][i].gain.setTargetAtTime(gain, now, 0.005);
    });
  }
}

/** Plays a recording. */
export class Player {
  #context;
  #mixer;
  #buffers;
  #sources = [];
  #offset = 0;
  #started = 0;

  constructor(dry, removed, sampleRate, listen, reduction, onended) {
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#mixer = new Mixer(this.#context, listen, reduction);
    this.#mixer.output.connect(this.#context.destination);
    this.onended = onended;
    this.duration = dry[0].length / sampleRate;
    this.replace(dry, removed, sampleRate);
  }

  /** Other samples of the same recording. */
  replace(dry, removed, sampleRate) {
    this.#buffers = [dry, removed].map((channels) => {
      const buffer = new AudioBuffer({ numberOfChannels: channels.length, length: channels[0].length, sampleRate });
      channels.forEach((channel, i) => buffer.copyToChannel(channel, i));
      return buffer;
    });
    if (this.playing) this.seek(this.position);
  }

  get playing() {
    return this.#sources.length > 0;
  }

  get position() {
    const passed = this.playing ? this.#context.currentTime - this.#started : 0;
    return Math.max(0, Math.min(this.duration, this.#offset + passed));
  }

  set(listen, reduction) {
    this.#mixer.set(listen, reduction);
  }

  async play() {
    await this.#context.resume();
    if (this.playing) return;
    if (this.#offset >= this.duration - 0.01) this.#offset = 0;
    const at = this.#context.currentTime + 0.02;
    this.#sources = this.#buffers.map((buffer, i) => {
      const source = new AudioBufferSourceNode(this.#context, { buffer });
      source.connect([this.#mixer.dry, this.#mixer.removed][i]);
      source.start(at, this.#offset);
      return source;
    });
    this.#started = at;
    this.#sources[0].onended = () => {
      this.#stop();
      this.#offset = this.duration;
      this.onended();
    };
  }

  #stop() {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
    }
    this.#sources = [];
  }

  pause() {
    this.#offset = this.position;
    this.#stop();
  }

  seek(seconds) {
    const { playing } = this;
    this.#stop();
    this.#offset = seconds;
    if (playing) this.play();
  }

  close() {
    this.#stop();
    this.#context.close();
  }
}
