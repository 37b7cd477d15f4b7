// The package and the page in a headless browser of Chromium's kind:
// node browser.mjs PACKAGE BROWSER RATE CHANNELS INPUT.f32 RESULTS
//
// Input and results are raw interleaved float32: RESULTS/rendered.f32 is what the node makes of it in an offline context,
// RESULTS/saved.f32 what the page saves after the recording is dropped on it. Prints a line of JSON.
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const [folder, browser, rate, channels, input, results] = process.argv.slice(2);
const LIMIT_MS = 240000;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".md": "text/plain" };

const profile = await mkdtemp(join(tmpdir(), "wisp-browser-"));
let child;
let done;
const finished = new Promise((resolve, reject) => (done = { resolve, reject }));

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

/** The samples of a WAV file of 24 bits. */
function samples(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const count = view.getUint32(40, true) / 3;
  return Float32Array.from({ length: count }, (_, n) => ((view.getInt8(46 + 3 * n) << 16) | view.getUint16(44 + 3 * n, true)) / 8388608);
}

async function answer(request, response) {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  if (path === "/result/done") {
    done.resolve(JSON.parse(await body(request)));
  } else if (path === "/result/rendered") {
    await writeFile(join(results, "rendered.f32"), await body(request));
  } else if (path === "/result/saved") {
    await writeFile(join(results, "saved.f32"), Buffer.from(samples(await body(request)).buffer));
  } else if (path === "/job") {
    return response.end(JSON.stringify({ sampleRate: Number(rate), channels: Number(channels) }));
  } else {
    const file =
      path === "/input" ? input
      : path === "/" ? fileURLToPath(new URL("./browser.html", import.meta.url))
      : path.startsWith("/package/") ? join(folder, normalize(path.slice("/package".length)))
      : undefined;
    if (!file || !(await stat(file).catch(() => undefined))?.isFile()) {
      response.statusCode = 404;
      return response.end();
    }
    response.setHeader("Content-Type", TYPES[extname(file)] ?? (path === "/" ? "text/html" : "application/octet-stream"));
    return createReadStream(file).pipe(response);
  }
  response.end();
}

const server = createServer((request, response) => {
  answer(request, response).catch(done.reject);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const timer = setTimeout(() => done.reject(new Error(`no result after ${LIMIT_MS / 1000} s`)), LIMIT_MS);
try {
  child = spawn(browser, [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    `--user-data-dir=${profile}`,
    `http://127.0.0.1:${server.address().port}/`,
  ], { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (text) => (errors = (errors + text).slice(-4000)));
  child.on("error", done.reject);
  child.on("exit", (code) => done.reject(new Error(`the browser ended with ${code}: ${errors}`)));
  const result = await finished;
  if (result.error) throw new Error(result.error);
  console.log(JSON.stringify(result));
} finally {
  clearTimeout(timer);
  child?.removeAllListeners("exit");
  child?.kill();
  server.closeAllConnections();
  server.close();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
