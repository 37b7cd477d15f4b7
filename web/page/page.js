// The page: opens recordings and the microphone, and connects the controls.
import { FULL } from "../wisp.js";
import { COLUMNS, Live, STEP } from "./live.js";
import { Picture, frequencies, level } from "./picture.js";
import { Player, amountOf } from "./player.js";
import { ROWS } from "./spectrum.js";
import { sampleRateOf, wav } from "./wav.js";

const byId = (id) => document.getElementById(id);
const picture = new Picture(byId("picture"));

/** What is shown: nothing, a recording, or the microphone. */
let recording;
let live;
let worker;

const listen = () => document.querySelector("input[name=listen]:checked").value;
const reduction = () => Number(byId("reduction").value);
const others = () => ({ sensitivity: Number(byId("sensitivity").value), ambience: Number(byId("ambience").value) });

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function say(text) {
  byId("status").textContent = text;
}

function fail(text) {
  byId("error").textContent = text;
  byId("error").hidden = !text;
}

/** Shows the parts that belong to what there is. */
function show() {
  const busy = worker !== undefined;
  document.body.dataset.state = busy ? "busy" : live ? "live" : recording ? "recording" : "empty";
  byId("welcome").hidden = busy || live !== undefined || recording !== undefined;
  byId("work").hidden = !busy;
  byId("legend").hidden = !live && !recording;
  byId("head").hidden = live !== undefined || !recording;
  byId("seek").hidden = live !== undefined;
  byId("seek").disabled = byId("save").disabled = !recording || live !== undefined || busy;
  byId("play").disabled = !recording && !live;
  byId("play").classList.toggle("live", live !== undefined);
  if (live) byId("play").setAttribute("aria-label", "Stop, and keep the recording");
  byId("monitor-row").hidden = live === undefined;
  byId("save").hidden = live !== undefined;
  byId("microphone").setAttribute("aria-pressed", String(live !== undefined));
  byId("microphone").textContent = live ? "Microphone is on" : "Use the microphone";
  byId("picture").parentElement.classList.toggle("seekable", Boolean(recording && !live));
  if (!live && !recording) {
    byId("title").textContent = "No recording yet";
    byId("about").textContent = "";
    picture.clear();
  }
}

function showAxes(sampleRate, seconds) {
  byId("rows").replaceChildren(
    ...frequencies(sampleRate).map(({ text, height }) => {
      const label = document.createElement("span");
      label.textContent = text;
      label.style.bottom = `${100 * height}%`;
      return label;
    }),
  );
  byId("seconds").replaceChildren(
    ...seconds.map(({ text, at }) => {
      const label = document.createElement("span");
      label.textContent = text;
      label.style.left = `${100 * at}%`;
      label.classList.toggle("end", at > 0.97);
      return label;
    }),
  );
}

function ticks(duration) {
  const step = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800].find((step) => duration / step <= 9) ?? 3600;
  const text = (seconds) => (step < 1 ? `${seconds} s` : duration < 60 ? `${seconds} s` : clock(seconds));
  return Array.from({ length: Math.floor(duration / step) + 1 }, (_, i) => ({ text: text(i * step), at: (i * step) / duration }));
}

/** Starts a worker that cleans, in place of any that runs; what it hands over. */
function clean(channels, sampleRate) {
  worker?.terminate();
  const mine = new Worker(new URL("./cleaner.js", import.meta.url), { type: "module" });
  worker = mine;
  show();
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      mine.terminate();
      if (worker === mine) worker = undefined;
      settle(value);
    };
    mine.onmessage = ({ data }) => {
      if (data.done !== undefined) byId("progress").value = data.done;
      else if (data.error !== undefined) end(reject, new Error(data.error));
      else end(resolve, data);
    };
    mine.onerror = (event) => end(reject, new Error(event.message || "the worker could not be started"));
    mine.postMessage({ channels, sampleRate, settings: others(), columns: Math.max(200, Math.min(1600, picture.width)) });
  });
}

/** At its own sample rate, where the file states one that Wisp takes; one or two channels. */
async function decode(bytes) {
  const stated = sampleRateOf(bytes);
  const sampleRate = stated >= 8000 && stated <= 384000 ? stated : 48000;
  const decoder = new OfflineAudioContext(1, 1, sampleRate);
  let buffer = await decoder.decodeAudioData(bytes);
  const mixed = buffer.numberOfChannels > 2 ? buffer.numberOfChannels : 0;
  if (mixed) {
    const context = new OfflineAudioContext(2, buffer.length, sampleRate);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.start();
    buffer = await context.startRendering();
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i).slice());
  return { channels, sampleRate, mixed };
}

async function open(file) {
  fail("");
  let decoded;
  try {
    byId("step").textContent = `Reading ${file.name}`;
    byId("progress").removeAttribute("value");
    byId("work").hidden = false;
    byId("welcome").hidden = true;
    decoded = await decode(await file.arrayBuffer());
    if (decoded.channels[0].length === 0) throw new Error("empty");
  } catch {
    show();
    fail(`“${file.name}” holds no sound that this browser can read. WAV, FLAC, MP3 and MP4 usually work.`);
    return;
  }
  closeMicrophone();
  await take({ name: file.name, ...decoded });
}

/** Cleans a recording and shows it. */
async function take({ name, channels, sampleRate, mixed }) {
  const duration = channels[0].length / sampleRate;
  byId("step").textContent = "Removing the noise";
  byId("progress").value = 0;
  let result;
  try {
    result = await clean(channels, sampleRate);
  } catch (error) {
    showRecording();
    fail(`“${name}” could not be cleaned: ${error.message}`);
    return;
  }
  recording?.player.close();
  const player = new Player(channels, result.removed, sampleRate, listen(), reduction(), showPlaying);
  const kind = mixed ? `${mixed} channels mixed to stereo` : channels.length === 1 ? "mono" : "stereo";
  const about = `${clock(duration)}, ${sampleRate / 1000} kHz, ${kind}, cleaned in ${result.seconds.toFixed(1)} s`;
  recording = { name, about, channels, sampleRate, duration, player, ...result };
  showRecording();
  say(`${name} is cleaned.`);
}

function showRecording() {
  show();
  if (!recording) return;
  const { name, about, sampleRate, duration } = recording;
  byId("title").textContent = name;
  byId("about").textContent = about;
  byId("seek").max = duration;
  byId("whole").textContent = ` / ${clock(duration)}`;
  showAxes(sampleRate, ticks(duration));
  paint();
  showPlaying();
}

/** The same recording with other settings. */
async function again() {
  if (live) {
    for (const [name, value] of Object.entries(others())) live.wisp[name].value = value;
  } else if (recording) {
    const { channels, sampleRate, player } = recording;
    try {
      byId("step").textContent = "Removing the noise";
      byId("progress").value = 0;
      Object.assign(recording, await clean(channels, sampleRate));
      player.replace(channels, recording.removed, sampleRate);
    } catch (error) {
      fail(`The recording could not be cleaned: ${error.message}`);
    }
    show();
    paint();
  }
}

function paint() {
  if (live) {
    picture.paint(COLUMNS, ...live.levels, listen());
    picture.describe("Live spectrogram of the microphone: the voice in green, removed noise in orange");
  } else if (recording) {
    const [dry, both, removed] = recording.cells;
    const amount = amountOf(reduction());
    const after = new Uint8Array(dry.length);
    const gone = new Uint8Array(dry.length);
    recording.before ??= Uint8Array.from(dry, level);
    for (let i = 0; i < dry.length; i++) {
      after[i] = level(Math.max(0, dry[i] - 2 * amount * both[i] + amount * amount * removed[i]));
      gone[i] = level(amount * amount * removed[i]);
    }
    picture.paint(dry.length / ROWS, recording.before, after, gone, listen());
    const text = { before: "before", after: "after", removed: "what is removed" }[listen()];
    picture.describe(`Spectrogram of ${recording.name}, ${text}: the voice in green, removed noise in orange`);
  }
}

function showPlaying() {
  if (!recording) return;
  const { playing, position } = recording.player;
  byId("play").classList.toggle("playing", playing && !live);
  if (!live) byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  byId("seek").value = position;
  byId("seek").setAttribute("aria-valuetext", `${clock(position)} of ${clock(recording.duration)}`);
  byId("now").textContent = clock(position);
  byId("head").style.left = `${(100 * position) / recording.duration}%`;
}

function closeMicrophone() {
  const samples = live?.stop();
  live = undefined;
  byId("monitor").checked = false;
  return samples;
}

async function openMicrophone() {
  fail("");
  if (live) return keep();
  if (!navigator.mediaDevices?.getUserMedia) {
    fail("The microphone needs a page from https or from localhost.");
    return;
  }
  try {
    recording?.player.pause();
    live = await Live.start(listen(), { ...others(), reduction: reduction() });
  } catch (error) {
    const refused = "Access to the microphone was refused. You can allow it beside the page’s address.";
    const missing = "There is no microphone.";
    fail({ NotAllowedError: refused, NotFoundError: missing }[error.name] ?? `The microphone could not be started: ${error.message}`);
    return;
  }
  byId("title").textContent = "Microphone";
  byId("about").textContent = `${live.sampleRate / 1000} kHz, mono, ${Math.round(1000 * live.wisp.latency)} ms of latency`;
  byId("whole").textContent = "";
  show();
  const seconds = COLUMNS * STEP;
  const text = (second) => (second === 0 ? "now" : `\u2212${second} s`);
  showAxes(live.sampleRate, [0, 1, 2, 3, 4, 5, 6, 7].map((second) => ({ text: text(second), at: 1 - second / seconds })));
  say("The microphone is on.");
}

/** Ends the microphone's recording and shows it. */
async function keep() {
  const { sampleRate } = live;
  const samples = closeMicrophone();
  if (samples.length < sampleRate / 4) return showRecording();
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  await take({ name: `Microphone, ${time}`, channels: [samples], sampleRate, mixed: 0 });
}

function toggle() {
  if (live) return keep();
  if (!recording || worker) return;
  if (recording.player.playing) recording.player.pause();
  else recording.player.play().then(showPlaying);
  showPlaying();
}

function seek(seconds) {
  recording.player.seek(seconds);
  showPlaying();
}

/** To the samples what the plugin does: the recording less a share of what is removed. */
function save() {
  const { name, channels, removed, sampleRate } = recording;
  const amount = Math.fround(amountOf(reduction()));
  try {
    const sample = (channel, n) => channels[channel][n] - amount * removed[channel][n];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(wav(channels.length, channels[0].length, sampleRate, sample));
    link.download = `${name.replace(/\.[^.]+$/, "").replace(/[:/\\]/g, ".")}.clean.wav`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${link.download} is saved.`);
  } catch (error) {
    fail(`The result could not be saved: ${error.message}`);
  }
}

const units = {
  reduction: (value) => (value >= FULL ? "Full" : `${value} dB`),
  sensitivity: (value) => `${value > 0 ? "+" : ""}${value} dB`.replace("-", "\u2212"),
  ambience: (value) => `${value} %`,
};

function showValues() {
  for (const [name, text] of Object.entries(units)) {
    const input = byId(name);
    byId(`${name}-value`).value = text(Number(input.value));
    input.setAttribute("aria-valuetext", text(Number(input.value)));
  }
}

function change() {
  showValues();
  recording?.player.set(listen(), reduction());
  live?.set(listen(), reduction());
  requestAnimationFrame(paint);
}

byId("open").addEventListener("click", () => byId("file").click());
byId("welcome").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = ""; // the same file may be chosen again
  if (file) open(file);
});
byId("microphone").addEventListener("click", openMicrophone);
byId("monitor").addEventListener("change", ({ target }) => live?.hear(target.checked));
byId("play").addEventListener("click", toggle);
byId("save").addEventListener("click", save);
byId("seek").addEventListener("input", ({ target }) => seek(Number(target.value)));
byId("picture").addEventListener("click", (event) => {
  if (recording && !live) seek((event.offsetX / event.target.clientWidth) * recording.duration);
});
byId("listen").addEventListener("change", change);
byId("reduction").addEventListener("input", change);
for (const name of ["sensitivity", "ambience"]) {
  byId(name).addEventListener("input", showValues);
  byId(name).addEventListener("change", again);
}

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=radio]), summary, button, a");
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === " " && !typing) {
    event.preventDefault();
    toggle();
  } else if (event.key.toLowerCase() === "b") {
    const value = listen() === "before" ? "after" : "before";
    document.querySelector(`input[value=${value}]`).checked = true;
    change();
  }
});

let inside = 0;
const files = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => {
  if (files(event)) byId("drop").hidden = ++inside === 0;
});
addEventListener("dragleave", (event) => {
  if (files(event)) byId("drop").hidden = --inside <= 0;
});
addEventListener("dragover", (event) => {
  if (files(event)) event.preventDefault();
});
addEventListener("drop", (event) => {
  inside = 0;
  byId("drop").hidden = true;
  if (!files(event)) return;
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) open(file);
});

function frame() {
  requestAnimationFrame(frame);
  if (live) {
    if (live.advance()) paint();
    byId("now").textContent = clock(live.seconds);
  } else if (recording?.player.playing) {
    showPlaying();
  }
}

showValues();
show();
frame();
