// The spectrogram: brightness is the input level, colour what was kept or removed.
import { ROWS, edges } from "./spectrum.js";

/** Levels are bytes: half decibels above this. */
const FLOOR_DB = -120;
/** Levels from black to full colour, dB. */
const DARK = -100;
const BRIGHT = -30;
/** What is reduced by this much counts as removed, dB. */
const GONE = 15;
/** Shades between removed and kept. */
const SHADES = 32;

const WELL = [0x0a, 0x0d, 0x12];
const TEXT = [0xec, 0xf0, 0xf5];
const VOICE = [0x62, 0xe6, 0xc4];
const NOISE = [0xff, 0x8a, 0x5b];

const mix = (a, b, t) => a.map((x, i) => x + (b[i] - x) * t);

/** Colours by shade and level. */
const COLOURS = (() => {
  const colours = new Uint32Array(SHADES * 256);
  const bytes = new Uint8ClampedArray(colours.buffer);
  for (let shade = 0; shade < SHADES; shade++) {
    for (let level = 0; level < 256; level++) {
      const db = FLOOR_DB + level / 2;
      const bright = Math.max(0, Math.min(1, (db - DARK) / (BRIGHT - DARK)));
      const ramp = (colour) =>
        bright < 0.75 ? mix(WELL, colour, (bright / 0.75) ** 1.4) : mix(colour, TEXT, ((bright - 0.75) / 0.25) * 0.8);
      bytes.set([...mix(ramp(NOISE), ramp(VOICE), shade / (SHADES - 1)), 255], 4 * (shade * 256 + level));
    }
  }
  return colours;
})();

/** A power as a byte. */
export function level(power) {
  return Math.max(0, Math.min(255, Math.round((10 * Math.log10(power + 1e-12) - FLOOR_DB) * 2)));
}

export class Picture {
  #canvas;
  #small = document.createElement("canvas");
  #image;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#show()).observe(canvas);
  }

  /** Pixels across. */
  get width() {
    return Math.round(this.#canvas.clientWidth * Math.min(2, devicePixelRatio));
  }

  /** Of bytes by column and row: the level before, after, and of what is removed. `listen` chooses what is bright. */
  paint(columns, before, after, removed, listen) {
    if (this.#image?.width !== columns) this.#image = new ImageData(columns, ROWS);
    const pixels = new Uint32Array(this.#image.data.buffer);
    const shown = { before, after, removed }[listen];
    for (let column = 0; column < columns; column++) {
      for (let row = 0; row < ROWS; row++) {
        const cell = column * ROWS + row;
        const kept = listen === "removed" ? 0 : 1 - (before[cell] - after[cell]) / (2 * GONE);
        const shade = Math.round(Math.max(0, Math.min(1, kept)) * (SHADES - 1));
        pixels[(ROWS - 1 - row) * columns + column] = COLOURS[shade * 256 + shown[cell]];
      }
    }
    this.#small.width = columns;
    this.#small.height = ROWS;
    this.#small.getContext("2d").putImageData(this.#image, 0, 0);
    this.#show();
  }

  clear() {
    this.#image = undefined;
    this.#show();
  }

  describe(text) {
    this.#canvas.setAttribute("aria-label", text);
  }

  #show() {
    const canvas = this.#canvas;
    canvas.width = Math.max(1, this.width);
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * Math.min(2, devicePixelRatio)));
    if (this.#image) canvas.getContext("2d").drawImage(this.#small, 0, 0, canvas.width, canvas.height);
  }
}

/** Labels of frequencies, with their heights from 0 to 1. */
export function frequencies(sampleRate) {
  const rows = edges(sampleRate);
  const labels = [[100, "100"], [200, "200"], [500, "500"], [1000, "1k"], [2000, "2k"], [4000, "4k"], [8000, "8k"], [16000, "16k"]];
  return labels.flatMap(([hz, text]) => {
    const row = rows.findIndex((edge) => edge > hz) - 1;
    return row < 0 ? [] : [{ text, height: (row + (hz - rows[row]) / (rows[row + 1] - rows[row])) / ROWS }];
  });
}
