"""What `check` says of the pixels of a sensor: scene by scene what was seen, then a line for each kind of thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.errors import problem, some
from landscribe.io.raster.rasters import RasterInfo, open_raster
from landscribe.io.raster.sidecars import say_ignored
from landscribe.io.raster.suspects import Suspect, find_suspects, thin
from landscribe.io.source.scenes import Scene
from landscribe.io.source.sensor_files import SensorFile, is_transparency, open_sensor, other_order

WHY = {
    "far": "far from all other numbers",
    "edge": "along the edge and in all bands",
    "block": "in a rectangle and in all bands",
}

DROPPED = "a last band tagged as transparency is a picture, perhaps near infrared, and left out"


@dataclass(frozen=True)
class SensorFacts:
    """What was seen of one sensor of one scene."""

    scene: str
    file: SensorFile
    valid: int
    """Pixels."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Smallest and largest number of each band."""
    suspects: tuple[Suspect, ...]
    ignored: tuple[tuple[str, str], ...]
    """What the file, or one beside it, says and is not followed, and what to do."""
    scales: tuple[tuple[float, float], ...]


def look_at_sensor(scene: Scene, name: str) -> SensorFacts:
    """Read all pixels of a sensor of a scene.

    Raises:
        DataError: If they cannot be read.
    """
    file = scene.sensors[name]
    low, high = np.full(len(file.sensor.bands), np.inf), np.full(len(file.sensor.bands), -np.inf)
    valid, parts = 0, []
    with open_sensor(file) as raster:
        info = raster.info
        for window in info.grid.window.low_strips():
            image_chw, valid_hw = raster.read(window)
            parts.append(thin(image_chw, valid_hw, window, info.grid))
            values = image_chw.reshape(len(image_chw), -1) if valid_hw.all() else image_chw[:, valid_hw]
            if values.size:
                valid += values.shape[1]
                low, high = np.minimum(low, values.min(axis=1)), np.maximum(high, values.max(axis=1))
            del image_chw, valid_hw, values  # before the next strip is read
    small_chw = np.concatenate([image_chw for image_chw, _ in parts], axis=1)
    small_hw = np.concatenate([valid_hw for _, valid_hw in parts])
    said = [found for item in info.ignored if (found := say_ignored(info.path.parent, item)) is not None]
    return SensorFacts(
        scene.id,
        file,
        valid,
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(find_suspects(small_chw, small_hw)),
        (*said, *_remarks(file, info, small_chw)),
        info.scales,
    )


def _remarks(file: SensorFile, info: RasterInfo, image_chw: AnyArray) -> Iterator[tuple[str, str]]:
    """Yield what a file says against the recipe, and is not refused for."""
    table = f"[data].sensors.{file.name}"
    order, _ = other_order("", file, info)
    if order:
        what, _, do = order.removeprefix(": ").partition("; ")
        yield what, do
    count = len(file.sensor.bands)
    if count == 4 and info.alpha_band is None and info.dtype == "uint8" and is_transparency(image_chw[-1]):
        band = file.sensor.band_names[-1]
        yield (
            f"band {band!r} is 0 and 255 only, as transparency is",
            f"say alpha = true in {table}, with a kind of 3 bands",
        )
    if drops_band(file):
        yield DROPPED, f"take it in with a kind of {count + 1} bands such as 'naip', or say alpha = true in {table}"


def drops_band(file: SensorFile) -> bool:
    """Tell whether the file's last band is tagged as transparency and is a picture, which the kind has no place for."""
    if file.alpha is not None or file.bands is not None:
        return False
    with open_sensor(file) as raster:
        if raster.info.alpha_band is not None:
            return False
    with open_raster(file.path) as raster:
        return raster.info.alpha_band == raster.info.count == len(file.sensor.bands) + 1


def sensor_errors(facts: Sequence[SensorFacts]) -> Iterator[str]:
    """Yield what keeps scenes from being used."""
    for own in facts:
        if not own.valid:
            yield problem(f"scene {own.scene!r}, {own.file.name}", "no valid pixel; all is nodata")


def sensor_warnings(facts: Sequence[SensorFacts]) -> Iterator[str]:
    """Yield what should be looked at, a line for each kind of thing with the scenes that show it."""
    for name in dict.fromkeys(own.file.name for own in facts):
        mine = [own for own in facts if own.file.name == name and own.valid]
        yield from _constant(mine)
        yield from _too_large(mine)
        yield from _suspects(mine)
        yield from _ignored([own for own in facts if own.file.name == name])
        yield from _scales(mine)


def _constant(facts: Sequence[SensorFacts]) -> Iterator[str]:
    for own in facts:
        for band, low, high in zip(own.file.sensor.band_names, own.low, own.high, strict=True):
            if low == high:
                yield problem(f"scene {own.scene!r}, {own.file.name}", f"band {band!r} is constant", got=f"{low:g}")


def _too_large(facts: Sequence[SensorFacts]) -> Iterator[str]:
    sensor = facts[0].file.sensor if facts else None
    large = {
        own.scene: max(own.high) for own in facts if own.file.sensor.bits and max(own.high) >= 2**own.file.sensor.bits
    }
    if sensor is not None and large:
        what = f"numbers beyond the {sensor.bits} bits of {sensor.kind!r} in {some(list(large))}"
        do = (
            "where only some scenes have them, those are of another kind; else harmless, but for indices with constants"
        )
        yield problem(facts[0].file.name, what, got=f"{max(large.values()):g}", do=do)


def _suspects(facts: Sequence[SensorFacts]) -> Iterator[str]:
    if facts:
        yield from say_suspects(facts[0].file.name, {own.scene: own.suspects for own in facts})


def say_suspects(sensor: str, suspects: Mapping[str, Sequence[Suspect]]) -> Iterator[str]:
    """Yield a line for each number that looks like "no data".

    Args:
        sensor: Name.
        suspects: Scene -> what was found in its pixels.
    """
    shown: dict[tuple[float, str, bool], dict[str, float]] = {}
    for scene, found in suspects.items():
        for own in found:
            shown.setdefault((own.value, own.why, own.in_all_bands), {})[scene] = own.share
    for (value, why, in_all_bands), shares in shown.items():
        share = f"{'up to ' if len(shares) > 1 else ''}{100 * max(shares.values()):.1f}%"
        what = f"{share} of the pixels of {some(list(shares))} are {value:.10g}, {WHY[why]}, and count as data"
        setting = f"nodata = {value:.10g}" + ("" if in_all_bands else ', nodata_bands = "any"')
        yield problem(sensor, what, do=f"say {setting} in [data].sensors.{sensor} if that is no data")


def _ignored(facts: Sequence[SensorFacts]) -> Iterator[str]:
    shown: dict[tuple[str, str], list[str]] = {}
    for own in facts:
        for item in own.ignored:
            shown.setdefault(item, []).append(own.scene)
    for (what, do), scenes in shown.items():
        yield problem(f"{facts[0].file.name} of {some(scenes)}", what, do=do)


def _scales(facts: Sequence[SensorFacts]) -> Iterator[str]:
    """Warn where the same number means different things in two scenes."""
    by_pairs: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for own in facts:
        by_pairs.setdefault(own.scales, []).append(own.scene)
    if len(by_pairs) < 2 or facts[0].file.scaled:
        return
    name = facts[0].file.name
    parts = [f"{_pair(pairs)} in {some(scenes)}" for pairs, scenes in list(by_pairs.items())[:3]]
    what = "scenes differ in what their numbers mean (factor and offset of the files)"
    yield problem(name, what, got="; ".join(parts), do=f"say scale = true in [data].sensors.{name}")


def _pair(pairs: tuple[tuple[float, float], ...]) -> str:
    texts = list(dict.fromkeys(f"x {scale:g} {offset:+g}" for scale, offset in pairs))
    return texts[0] if len(texts) == 1 else f"{texts[0]}, ..."
