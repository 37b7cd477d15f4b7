// Raw interleaved float32 from standard input, denoised by the package, to standard output:
// node clean.mjs PACKAGE RATE CHANNELS [CONTROLS as JSON]
import { readFileSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, rate, count, controls = "{}"] = process.argv.slice(2);
const { denoise } = await import(pathToFileURL(`${folder}/wisp.js`));
const channels = Number(count);
const bytes = readFileSync(0);
const frames = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const length = frames.length / channels;
const split = Array.from({ length: channels }, (_, i) => Float32Array.from({ length }, (_, n) => frames[n * channels + i]));
const clean = await denoise(split, Number(rate), JSON.parse(controls));
const joined = Float32Array.from({ length: frames.length }, (_, n) => clean[n % channels][Math.floor(n / channels)]);
let rest = new Uint8Array(joined.buffer);
while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
