"""Wisp removes noise from a voice.

    import wisp_denoise

    clean = wisp_denoise.denoise(noisy, 48_000)         # a whole recording, aligned with the input

    denoiser = wisp_denoise.Denoiser(48_000)            # block by block, 20 ms late
    for block in blocks:
        play(denoiser.process(block))

There are two qualities: "studio" for recordings, with 60 ms of latency and a slightly cleaner voice, and "live" for talking,
with 20 ms. By default `denoise` uses the first and `Denoiser` the second.

Audio is a numpy array of floats with full scale at 1, of shape (samples,) for mono or (channels, samples), with 1 to 64
channels. Results are float32. Libraries that put samples first, such as soundfile, need `.T` both ways.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _wisp

__all__ = ["PRESETS", "Denoiser", "denoise"]
__version__: str = _wisp.__version__

PRESETS: Mapping[str, str] = MappingProxyType(dict(_wisp.PRESETS))
"""The factory presets: names, and the purpose of each."""

_Input = npt.NDArray[np.floating[Any]]
_Output = npt.NDArray[np.float32]
_Path = str | os.PathLike[str]
_Stereo = Literal["linked", "independent"]
_Quality = Literal["live", "studio"]

_RATES = range(8_000, 384_001)
_CHANNELS = range(1, 65)
# Samples of a channel processed at a time; Ctrl-C takes effect in between.
_PIECE = 1 << 16


def denoise(
    audio: _Input,
    rate: float,
    *,
    quality: _Quality | None = None,
    preset: _Path | None = None,
    reduction_db: float | None = None,
    sensitivity_db: float | None = None,
    ambience: float | None = None,
    output_db: float | None = None,
    removed: bool = False,
    stereo: _Stereo | None = None,
    pass_through: Iterable[int] = (),
    weights: _Path | None = None,
) -> _Output:
    """Removes the noise from a whole recording.

    Args:
        audio: Floats with full scale at 1, shape (samples,) or (channels, samples). It is not modified.
        rate: Sample rate in Hz, 8000 to 384000.
        quality: The built-in weights to use: "studio" for recordings, "live" as in a call, faster ["studio"].
        preset: One of `PRESETS`, or the path of a preset file (.json). Other arguments override it.
        reduction_db: The most by which noise is turned down, in dB: 0 or more, `math.inf` for no limit [24].
        sensitivity_db: Treats more (up) or less (down) of the doubtful sounds as noise, in dB: -12 to 12 [0].
        ambience: Share of the steady noise to keep, 0 to 1 [0].
        output_db: Gain after denoising, in dB: -96 to 36 [0].
        removed: Return what was removed instead of the result.
        stereo: "linked" uses one mask for all channels, which preserves the stereo image; "independent" cleans each
            separately ["linked"].
        pass_through: Indexes of channels that are not denoised, such as low-frequency effects: 3 in most 5.1 files.
        weights: Path of a weights file, instead of the built-in weights and a quality.

    Returns:
        float32 of the same shape, aligned with `audio` to the sample. It equals the output of `Denoiser` for the same samples
        and quality.

    Raises:
        TypeError: The samples are not floats, or an argument has the wrong type.
        ValueError: The audio is empty, has another shape, or holds NaN or infinity; an argument is out of range; a file is
            invalid.
        OSError: A file cannot be read.
    """
    planes = _planes(audio)
    channels, samples = planes.shape
    if samples == 0:
        raise ValueError("audio is empty")
    finite = np.isfinite(planes)
    if not finite.all():
        bad = finite.size - np.count_nonzero(finite)
        channel, sample = np.unravel_index(np.argmin(finite), finite.shape)
        first = f"the first is sample {sample} of channel {channel}"
        raise ValueError(f"audio has NaN or infinity in {bad} of {finite.size} samples; {first}")
    denoiser = Denoiser(
        rate,
        channels,
        aligned=True,
        quality="studio" if quality is None and weights is None else quality,
        preset=preset,
        reduction_db=reduction_db,
        sensitivity_db=sensitivity_db,
        ambience=ambience,
        output_db=output_db,
        removed=removed,
        stereo=stereo,
        pass_through=pass_through,
        weights=weights,
    )
    clean = np.concatenate((denoiser._run(planes), denoiser._rest()), axis=1)
    return clean.reshape(np.shape(audio))


class Denoiser:
    """Removes the noise from a stream, block by block.

    Blocks may have any size, which can differ from block to block and does not affect the result. By default, each block comes
    back at once, delayed by `latency` samples. With `aligned`, the delay is removed: the first blocks come back shorter, and
    `flush` returns the rest.

    The settings are attributes and can be changed at any time, also from another thread while a block is being processed:
    they take effect with the next block, ramped over 10 ms. Methods release the interpreter lock while they work.
    """

    def __init__(
        self,
        rate: float,
        channels: int = 1,
        *,
        aligned: bool = False,
        quality: _Quality | None = None,
        preset: _Path | None = None,
        reduction_db: float | None = None,
        sensitivity_db: float | None = None,
        ambience: float | None = None,
        output_db: float | None = None,
        removed: bool = False,
        stereo: _Stereo | None = None,
        bypass: bool = False,
        pass_through: Iterable[int] = (),
        weights: _Path | None = None,
    ) -> None:
        """
        Args:
            rate: Sample rate in Hz, 8000 to 384000.
            channels: Number of channels, 1 to 64.
            aligned: Remove the delay.
            quality: The built-in weights to use: "live" for talking, 20 ms late, or "studio" for recordings, 60 ms late
                ["live"].
            bypass: Start with the input, delayed by the latency.

        The other arguments and the exceptions are those of `denoise`.
        """
        self._rate = _whole("rate", rate)
        if self._rate not in _RATES:
            raise ValueError(f"rate is {self._rate} Hz, expected 8000 to 384000 Hz")
        self._channels = _whole("channels", channels)
        if self._channels not in _CHANNELS:
            raise ValueError(f"channels is {self._channels}, expected 1 to 64")
        passed = [_whole("pass_through", index) for index in pass_through]
        for index in passed:
            if not 0 <= index < self._channels:
                raise ValueError(f"pass_through has {index}, expected 0 to {self._channels - 1}")
        if quality not in (None, "live", "studio"):
            raise ValueError(f"quality is {quality!r}, expected 'live' or 'studio'")
        content = None
        if weights is not None:
            if quality is not None:
                raise ValueError(f"quality is {quality!r}, but weights names a file: give one of them")
            with open(weights, "rb") as file:
                content = file.read()
        self._aligned = bool(aligned)
        try:
            studio = quality == "studio"
            self._engine = _wisp.Engine(self._rate, self._channels, passed, studio, content, self._aligned)
        except ValueError as error:
            raise ValueError(f"{weights}: {error}" if weights is not None else str(error)) from None
        self._quality: _Quality | None = None if weights is not None else quality or "live"
        # Dimensions of the results: those of the latest block.
        self._dimensions = 1 if self._channels == 1 else 2
        if preset is not None:
            self.use_preset(preset)
        if reduction_db is not None:
            self.reduction_db = reduction_db
        if sensitivity_db is not None:
            self.sensitivity_db = sensitivity_db
        if ambience is not None:
            self.ambience = ambience
        if output_db is not None:
            self.output_db = output_db
        if stereo is not None:
            self.stereo = stereo
        self.removed = removed
        self.bypass = bypass

    def process(self, block: _Input) -> _Output:
        """Denoises the next block.

        Args:
            block: Floats with full scale at 1, shape (channels, samples), or for mono also (samples,); any number of
                samples, or none. It is not modified. NaN and infinity count as 0, so that a stream continues.

        Returns:
            float32 of the same shape, `latency` samples late; with `aligned`, shorter at the start.

        Raises:
            TypeError: The samples are not floats.
            ValueError: The block has another shape.
        """
        planes = _planes(block)
        if len(planes) != self._channels:
            expected = "(samples,) or (1, samples)" if self._channels == 1 else f"({self._channels}, samples)"
            raise ValueError(f"block has shape {np.shape(block)}, expected {expected}")
        self._dimensions = np.ndim(block)
        return self._shaped(self._run(planes))

    def flush(self) -> _Output:
        """Returns the end of a recording, which is still inside: `latency` samples per channel, in the shape of the latest
        block. Afterwards the next recording can start."""
        return self._shaped(self._rest())

    def reset(self) -> None:
        """Discards the audio so far, for example before another recording. The settings keep their values."""
        self._engine.reset()

    def use_preset(self, preset: _Path) -> None:
        """Applies one of `PRESETS` or a preset file; other settings keep their values.

        Raises:
            ValueError: There is no such preset, or the file is not one.
            OSError: The file cannot be read.
        """
        path = os.fspath(preset)
        is_path = bool(os.path.dirname(path)) or path.lower().endswith(".json")
        if isinstance(preset, str) and not is_path:
            if not self._engine.use_factory_preset(preset):
                known = ", ".join(PRESETS)
                raise ValueError(f"preset is {preset!r}, expected {known}, or the path of a preset file")
            return
        with open(path, encoding="utf-8") as file:
            try:
                self._engine.use_preset_text(file.read())
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None

    @property
    def rate(self) -> int:
        """Sample rate in Hz."""
        return self._rate

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self._channels

    @property
    def aligned(self) -> bool:
        """Whether the delay is removed."""
        return self._aligned

    @property
    def quality(self) -> _Quality | None:
        """The built-in weights in use, "live" or "studio"; None with weights from a file."""
        return self._quality

    @property
    def latency(self) -> int:
        """Delay from input to output in samples: 20 ms in Live, 60 ms in Studio, rounded to whole samples."""
        return self._engine.latency

    @property
    def reduction_db(self) -> float:
        """The most by which noise is turned down, in dB: 0 or more, `math.inf` for no limit."""
        return self._engine.get("reduction_db")

    @reduction_db.setter
    def reduction_db(self, value: float) -> None:
        self._engine.set("reduction_db", value)

    @property
    def sensitivity_db(self) -> float:
        """Treats more (up) or less (down) of the doubtful sounds as noise, in dB: -12 to 12."""
        return self._engine.get("sensitivity_db")

    @sensitivity_db.setter
    def sensitivity_db(self, value: float) -> None:
        self._engine.set("sensitivity_db", value)

    @property
    def ambience(self) -> float:
        """Share of the steady noise to keep, 0 to 1."""
        return self._engine.get("ambience")

    @ambience.setter
    def ambience(self, value: float) -> None:
        self._engine.set("ambience", value)

    @property
    def output_db(self) -> float:
        """Gain after denoising, in dB: -96 to 36."""
        return self._engine.get("output_db")

    @output_db.setter
    def output_db(self, value: float) -> None:
        self._engine.set("output_db", value)

    @property
    def removed(self) -> bool:
        """Whether the output is what was removed instead of the result."""
        return self._engine.get("removed") == 1

    @removed.setter
    def removed(self, value: bool) -> None:
        self._engine.set("removed", bool(value))

    @property
    def stereo(self) -> _Stereo:
        """Channel linking: "linked" uses one mask, which preserves the stereo image; "independent" cleans each separately."""
        return "independent" if self._engine.get("independent") == 1 else "linked"

    @stereo.setter
    def stereo(self, value: _Stereo) -> None:
        if value not in ("linked", "independent"):
            raise ValueError(f"stereo is {value!r}, expected 'linked' or 'independent'")
        self._engine.set("independent", value == "independent")

    @property
    def bypass(self) -> bool:
        """Whether the output is the input, delayed by the latency."""
        return self._engine.get("bypass") == 1

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._engine.set("bypass", bool(value))

    def __repr__(self) -> str:
        mode = "aligned" if self._aligned else "live"
        return f"<wisp_denoise.Denoiser: {self._rate} Hz, channels: {self._channels}, {mode}>"

    def _run(self, planes: _Output) -> _Output:
        """Processes in place; returns the samples after the delay."""
        early = 0
        for at in range(0, planes.shape[1], _PIECE):
            early += self._engine.process(planes[:, at : at + _PIECE])
        return planes[:, early:]

    def _rest(self) -> _Output:
        rest = self._run(np.zeros((self._channels, self.latency), np.float32))
        self.reset()
        return rest

    def _shaped(self, planes: _Output) -> _Output:
        return planes[0] if self._dimensions == 1 else planes


def _whole(name: str, value: float) -> int:
    if isinstance(value, float):
        # Some libraries give a rate as 48000.0.
        if value.is_integer():
            return int(value)
    else:
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} is {value!r}, expected a whole number")


def _planes(audio: _Input) -> _Output:
    """A copy of the audio, shape (channels, samples)."""
    array = np.asarray(audio)
    if array.dtype.kind != "f":
        advice = "; divide int16 by 32768" if array.dtype.kind in "iu" else ""
        raise TypeError(f"samples are {array.dtype}, expected floats with full scale at 1{advice}")
    if array.ndim not in (1, 2):
        raise ValueError(f"audio has shape {array.shape}, expected (samples,) or (channels, samples)")
    planes = np.array(array, np.float32, order="C", ndmin=2)
    if len(planes) not in _CHANNELS:
        advice = ": transpose it" if planes.shape[1] in _CHANNELS else ""
        raise ValueError(f"audio has shape {array.shape}, expected (channels, samples) with 1 to 64 channels{advice}")
    return planes
