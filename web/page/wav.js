// Sample rates of files, and WAV files of samples.

/** The sample rate in Hz that a WAV, FLAC or Opus file states; undefined for other formats. */
export function sampleRateOf(bytes) {
  const view = new DataView(bytes);
  const text = (at, length) => String.fromCharCode(...new Uint8Array(bytes, at, Math.min(length, bytes.byteLength - at)));
  if (bytes.byteLength < 44) return undefined;
  if (["RIFF", "RF64"].includes(text(0, 4)) && text(8, 4) === "WAVE") {
    for (let at = 12; at + 16 <= bytes.byteLength; at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) % 2)) {
      if (text(at, 4) === "fmt ") return view.getUint32(at + 12, true);
    }
  }
  if (text(0, 4) === "fLaC") return view.getUint32(18) >>> 12;
  if (text(0, 4) === "OggS" && text(28, 8) === "OpusHead") return 48000;
  return undefined;
}

/** A WAV file of 24 bits: one Float32Array per channel, of which `sample(channel, n)` gives the value to write. */
export function wav(channels, length, sampleRate, sample) {
  const size = length * channels * 3;
  if (size > 0xffffffff - 64) throw new RangeError("the result is too long for a WAV file");
  const padded = size + (size % 2);
  const view = new DataView(new ArrayBuffer(44 + padded));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + padded, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * channels * 3, true);
  view.setUint16(32, channels * 3, true);
  view.setUint16(34, 24, true);
  text(36, "data");
  view.setUint32(40, size, true);
  let at = 44;
  for (let n = 0; n < length; n++) {
    for (let channel = 0; channel < channels; channel++, at += 3) {
      const value = Math.max(-8388608, Math.min(8388607, Math.round(sample(channel, n) * 8388608)));
      view.setUint16(at, value & 0xffff, true);
      view.setInt8(at + 2, value >> 16);
    }
  }
  return new Blob([view], { type: "audio/wav" });
}
