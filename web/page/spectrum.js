// Levels over time and frequency of a recording and of its removed signal.

/** Rows of a picture, from low to high frequencies. */
export const ROWS = 192;

/** Edges of the rows in Hz, equally spaced on the ERB-rate scale. */
export function edges(sampleRate) {
  const erb = (hz) => Math.log10(1 + 0.00437 * hz);
  const [low, high] = [erb(60), erb(Math.min(20000, sampleRate / 2))];
  return Float64Array.from({ length: ROWS + 1 }, (_, i) => (10 ** (low + ((high - low) * i) / ROWS) - 1) / 0.00437);
}

/** A power of two of samples: 43 ms at 48 kHz. */
function frameLength(sampleRate) {
  return 2 ** Math.round(Math.log2(sampleRate * 0.043));
}

/** Mean of a spectrum of `bins` from 0 Hz to half the sample rate, over each row. */
export function intoRows(spectrum, sampleRate, edges, rows) {
  const perHz = (2 * (spectrum.length - 1)) / sampleRate;
  for (let row = 0; row < ROWS; row++) {
    const [from, to] = [edges[row] * perHz, edges[row + 1] * perHz];
    if (to - from < 1.5) {
      const at = Math.min((from + to) / 2, spectrum.length - 1.001);
      const bin = Math.floor(at);
      rows[row] += spectrum[bin] + (spectrum[bin + 1] - spectrum[bin]) * (at - bin);
    } else {
      const first = Math.round(from);
      const last = Math.max(first + 1, Math.min(Math.round(to), spectrum.length));
      let sum = 0;
      for (let bin = first; bin < last; bin++) sum += spectrum[bin];
      rows[row] += sum / (last - first);
    }
  }
}

/** In-place complex FFT of a power of two. */
class Fft {
  constructor(length) {
    this.length = length;
    this.cos = Float64Array.from({ length: length / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / length));
    this.sin = Float64Array.from({ length: length / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / length));
    const bits = Math.log2(length);
    this.place = Uint32Array.from({ length }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      return reversed;
    });
  }

  run(re, im) {
    const { length, cos, sin, place } = this;
    for (let i = 0; i < length; i++) {
      const j = place[i];
      if (j > i) {
        [re[i], re[j]] = [re[j], re[i]];
        [im[i], im[j]] = [im[j], im[i]];
      }
    }
    for (let half = 1; half < length; half *= 2) {
      const step = length / (2 * half);
      for (let start = 0; start < length; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [a, b] = [start + k, start + k + half];
          const [c, s] = [cos[k * step], sin[k * step]];
          const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
      }
    }
  }
}

/**
 * For each column and row three numbers, from which the power of `dry - amount * removed` follows for any amount:
 * |dry|^2, Re(dry conj(removed)), |removed|^2. A sine of amplitude 1 has a power of 0 dB.
 */
export function spectra(dry, removed, sampleRate, columns) {
  const length = frameLength(sampleRate);
  const bins = length / 2 + 1;
  const fft = new Fft(length);
  const window = Float64Array.from({ length }, (_, n) => (1 - Math.cos((2 * Math.PI * n) / length)) / (length / 2));
  const [re, im] = [new Float64Array(length), new Float64Array(length)];
  const parts = Array.from({ length: 3 }, () => new Float64Array(bins));
  const rows = Array.from({ length: 3 }, () => new Float64Array(ROWS));
  const rowEdges = edges(sampleRate);
  const cells = Array.from({ length: 3 }, () => new Float32Array(columns * ROWS));
  const samples = dry[0].length;
  const span = samples / columns;
  // A column that is longer than a frame shows several.
  const frames = Math.max(1, Math.min(6, Math.ceil(span / (length / 2))));
  for (let column = 0; column < columns; column++) {
    rows.forEach((row) => row.fill(0));
    for (let frame = 0; frame < frames; frame++) {
      const start = Math.round((column + (frame + 0.5) / frames) * span - length / 2);
      for (let n = 0; n < length; n++) {
        let [d, r] = [0, 0];
        const at = start + n;
        if (at >= 0 && at < samples) {
          for (let i = 0; i < dry.length; i++) {
            d += dry[i][at];
            r += removed[i][at];
          }
        }
        // Two real signals in one complex one.
        re[n] = (window[n] * d) / dry.length;
        im[n] = (window[n] * r) / dry.length;
      }
      fft.run(re, im);
      for (let k = 0; k < bins; k++) {
        const m = (length - k) % length;
        const [dr, di] = [(re[k] + re[m]) / 2, (im[k] - im[m]) / 2];
        const [rr, ri] = [(im[k] + im[m]) / 2, (re[m] - re[k]) / 2];
        parts[0][k] = dr * dr + di * di;
        parts[1][k] = dr * rr + di * ri;
        parts[2][k] = rr * rr + ri * ri;
      }
      for (let i = 0; i < 3; i++) intoRows(parts[i], sampleRate, rowEdges, rows[i]);
    }
    for (let i = 0; i < 3; i++) {
      for (let row = 0; row < ROWS; row++) cells[i][column * ROWS + row] = rows[i][row] / frames;
    }
  }
  return cells;
}
