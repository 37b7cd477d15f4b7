"""Makes the seeds of fuzzing: small valid inputs of every kind. Needs ffmpeg for the compressed formats.

    python3 fuzz/seeds/make.py
"""

import json
import math
import shutil
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def put(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


# ---- engine: see fuzz/targets/engine.rs -----------------------------------------------------------------------------

CLIPS = {
    "dc": 1.0,
    "nan": math.nan,
    "inf": math.inf,
    "denormal": 1e-40,
    "huge": 1e30,
    "negative": -1e30,
}


def start(rate, channels, studio=False):
    return struct.pack(">HH", rate, channels - 1 + 2 * studio)


def constant(length, value):
    return b"\x05" + struct.pack(">H", length) + struct.pack("<ff", value, 0) + struct.pack(">H", 1)


def square(length, a, b, period):
    return b"\x06" + struct.pack(">H", length) + struct.pack("<ff", a, b) + struct.pack(">H", period - 1)


def clicks(length, a, b, period):
    return b"\x07" + struct.pack(">H", length) + struct.pack("<ff", a, b) + struct.pack(">H", period - 1)


for i, (name, value) in enumerate(CLIPS.items()):
    put("engine", name, start(i, 1 + i % 2) + constant(1000, value) + clicks(700, 0.5, 0.2, 50) + constant(333, value))
put("engine", "squares", start(5, 2) + square(4800, 1.0, -1.0, 48) + b"\x03" + square(333, 1.0, -1.0, 1))
put("engine", "storm", start(4, 2) + b"\x04" + struct.pack(">H", 60) + struct.pack("<ff", 0.3, 1e9) + clicks(900, 1, 1, 9))
for name, studio in (("resets", False), ("studio", True)):
    put("engine", name, start(8, 1, studio) + b"".join(clicks(n, 0.9, 0.1, 30) + b"\x03" for n in (1, 7, 480, 1919, 3)))
put("engine", "controls", start(6, 2) + b"".join(
    b"\x00" + struct.pack("<f", 12.0 * k) + b"\x01" + struct.pack("<f", -3.0 * k) + bytes([2, k]) + clicks(600, 0.4, 0.2, 70)
    for k in range(8)
))

# ---- weights, state -------------------------------------------------------------------------------------------------

for version in sorted(state.parent for state in (ROOT / "tests/versions").glob("*/state.json")):
    put("weights", version.name, (version / "weights.safetensors").read_bytes())
    put("state", version.name, (version / "state.json").read_bytes())
STATE = {
    "version": "0.1.0",
    "params": {
        "reduction": {"f32": 18.0}, "output": {"f32": -3.0}, "listen": {"string": "removed"},
        "stereo": {"string": "independent"}, "bypass": {"bool": True}, "quality": {"string": "studio"},
    },
    "fields": {"editor": json.dumps({"width": 900.0, "height": 600.0})},
}
put("state", "whole", json.dumps(STATE).encode())
put("state", "empty", b'{"version":"","params":{},"fields":{}}')

# ---- presets --------------------------------------------------------------------------------------------------------

PRESETS = {
    "whole": {"wisp": 1, "name": "whole", "reduction": "24 dB", "sensitivity": "+3 dB", "ambience": "20 %",
              "output": "-6 dB", "stereo": "Linked"},
    "numbers": {"wisp": 1, "reduction": 12, "sensitivity": -4.5, "ambience": 0, "output": 6, "stereo": 1},
    "full": {"wisp": 1, "reduction": "Full", "later": {"a": [1, None]}},
    "newer": {"wisp": 2, "reduction": "Full"},
    "empty": {"wisp": 1},
}
for name, preset in PRESETS.items():
    put("presets", name, json.dumps(preset, indent=2).encode())
put("presets", "name", "Küche 2".encode())

# ---- audio ----------------------------------------------------------------------------------------------------------


def wav(rate, channels, bits, frames=400, floats=False, extensible=False):
    width = bits // 8
    data = b""
    for i in range(frames * channels):
        x = 0.5 * math.sin(i * 0.1)
        if floats:
            data += struct.pack("<f", x)
        elif bits == 8:
            data += bytes([int(128 + 127 * x)])
        else:
            data += int(x * (2 ** (bits - 1) - 1)).to_bytes(width, "little", signed=True)
    code = 0xFFFE if extensible else 3 if floats else 1
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * width, channels * width, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, 3 if floats else 1) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rf64(plain):
    size = len(plain) - 44
    return (
        b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 0, size, size // 2, 0)
        + plain[12:40] + b"\xff\xff\xff\xff" + plain[44:]
    )


put("audio", "8.wav", wav(8000, 1, 8))
put("audio", "16.wav", wav(16000, 2, 16))
put("audio", "24.wav", wav(44100, 1, 24, extensible=True))
put("audio", "32.wav", wav(22050, 1, 32, extensible=True))
put("audio", "float.wav", wav(48000, 1, 32, floats=True))
put("audio", "six.wav", wav(16000, 6, 16, frames=100, extensible=True))
put("audio", "rf64.wav", rf64(wav(48000, 1, 16)))


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def sized(plain, riff, data):
    return plain[:4] + struct.pack("<I", riff) + plain[8:40] + struct.pack("<I", data) + plain[44:]


# Headers as they are: from pipes, never finished, written half, with chunks before and behind.
plain = wav(16000, 1, 16)
put("audio", "pipe.wav", sized(plain, 0xFFFFFFFF, 0xFFFFFFFF))
put("audio", "crashed.wav", sized(plain, 0, 0))
put("audio", "half.wav", sized(plain, 36, 400))
put("audio", "cut.wav", plain[:-101])
put("audio", "20.wav", wav(16000, 1, 24)[:34] + b"\x14" + wav(16000, 1, 24)[35:])
bext = b"scene".ljust(338, b"\0") + struct.pack("<Q", 4711) + bytes(256)
behind = chunk(b"cue ", struct.pack("<IIIIIII", 1, 1, 9, 0x61746164, 0, 0, 9)) + chunk(b"LIST", b"INFOINAM\x02\0\0\0a\0")
body = plain[8:12] + chunk(b"bext", bext) + plain[12:] + behind + chunk(b"odd!", b"abc")
put("audio", "chunks.wav", b"RIFF" + struct.pack("<I", len(body)) + body)
put("audio", "plain.au", b".snd" + struct.pack(">IIIII", 28, 0xFFFFFFFF, 3, 16000, 1) + b"text" + plain[44:244])
w64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0" + struct.pack("<Q", 504)
tail = b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a"
w64 += b"wave" + tail + b"fmt " + tail + struct.pack("<Q", 40) + plain[20:36]
put("audio", "plain.w64", w64 + b"data" + tail + struct.pack("<Q", 424) + plain[44:444])
if shutil.which("ffmpeg"):
    source = HERE / "source.wav"
    source.write_bytes(wav(16000, 1, 16, frames=1600))
    for name, options in {
        "plain.flac": [], "plain.aiff": ["-t", "0.02"], "plain.mp3": ["-b:a", "32k"], "plain.ogg": ["-c:a", "libvorbis"],
        "adpcm.wav": ["-c:a", "adpcm_ms"], "ulaw.wav": ["-c:a", "pcm_mulaw", "-t", "0.02"],
        "aac.m4a": ["-b:a", "16k"], "alac.m4a": ["-c:a", "alac"], "plain.caf": ["-t", "0.02"], "plain.mka": ["-c:a", "flac", "-t", "0.05"],
        "mono.opus": ["-c:a", "libopus", "-b:a", "16k"], "five.opus": ["-ac", "6", "-c:a", "libopus", "-b:a", "64k", "-t", "0.05"],
    }.items():
        target = HERE / "audio" / name
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, "-bitexact", "-map_metadata", "-1", *options, target]
        subprocess.run(command, check=True)
    source.unlink()
    ogg, flac = ((HERE / "audio" / name).read_bytes() for name in ("plain.ogg", "plain.flac"))
    put("audio", "chained.ogg", ogg + ogg)
    put("audio", "tagged.flac", flac + b"TAG" + bytes(125))
    # Nibbles that make the step grow thrice with every sample, until it is too large for its integer.
    steps = bytearray((HERE / "audio" / "adpcm.wav").read_bytes())
    nibbles = steps.index(b"data") + 8 + 7
    steps[nibbles:nibbles + 64] = b"\x88" * 64
    put("audio", "steps.wav", bytes(steps))
