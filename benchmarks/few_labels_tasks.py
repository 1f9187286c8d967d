"""Tasks and arms of `few_labels.py`: whole tiles or places of real imagery left out, and ways to train for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VEGAS = """
sensors.RGB = { path = "RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_{scene}.tif", kind = "worldview3-rgb" }
labels = { path = "geojson/buildings_AOI_2_Vegas_{scene}.geojson", class = "building" }
"""
VEGAS_0_1_0 = """
network = { filters = 24 }
loss = { bce = 0.2, dice = 0.8 }
chips = { gain = 0.2, band_gain = 0.15, band_offset = 1.0, scale = 0.25 }
"""
DUBAI = """
sensors.RGB = { path = "tile{tile}/images/image_part_{part}.jpg", kind = "rgb8" }
scene = "tile{tile}_{part}"
place = "tile{tile}"
[data.labels]
path = "tile{tile}/masks/image_part_{part}.png"
colours = { building = "#3C1098", land = "#8429F6", road = "#6EC1E4", vegetation = "#FEDD3A", water = "#E2A929" }
unlabelled = "#9B9B9B"
"""
DUBAI_0_1_0 = """
seeds = [0, 1, 2, 3, 4]
network = { filters = 16 }
chips = { gain = 0.1, band_gain = 0.05, scale = 0.25 }
"""
COVER = """
[vectorize]
exclusive = true
min_area = { default = 64.0 }
"""
RIO = """
sensors.RGB = { path = "3band/3band_013022223130_Public_{scene}.tif", kind = "worldview2-rgb8", nodata = 0 }
sensors.M = { path = "8band/8band_013022223130_Public_{scene}.tif", kind = "worldview2-m", nodata = 0 }
labels = { path = "geojson/013022223130_Public_{scene}_Geo.geojson", class = "building" }
"""
RIO_0_1_0 = """
inputs = { indices = ["ndvi", "ndwi"] }
network = { filters = 24 }
loss = { bce = 0.2, dice = 0.8 }
chips = { band_offset = 0.5, scale = 0.25 }
"""
RIO_MASKS = """
sensors.RGB = { path = "images/{scene}.tif", kind = "rgb8" }
labels = { path = "masks/{scene}.tif", values = { building = 255 } }
"""
CHESAPEAKE = """
sensors.RGBN = { path = "wv2014/images/m_3708020_sw_{scene}.tif", kind = "naip" }
labels = { path = "wv2014/landcover/m_3708020_sw_{scene}.tif", values = { tree = 2, low = 3, impervious = 5 } }
"""
KAMPALA = """
sensors.RGB = { path = "z20/OAM-{x}-{y}-{z}.png", kind = "rgb8", frame = "webmercator-tile" }
labels = { path = "labels.geojson", class = "building" }
scene = "{z}-{x}-{y}"
place = "{z}-{x}-{y}"
"""
BUILDING = """
[[classes]]
name = "building"
colour = "#E4572E"
countable = true
"""
LEFT_OUT = 'split = "named"\n'


@dataclass(frozen=True)
class Task:
    """Ground that is labelled, and ground that is scored."""

    folder: str
    """Of the data."""
    data: str
    """Table `[data]`, without its root."""
    validate: str
    """Table `[validate]`: what no network sees."""
    classes: str = BUILDING
    """What comes after the data: classes, and how polygons are made, for all arms."""
    old: str = ""
    """What the recipe of 0.1.0 says of the model; nothing where there was none, so that all is its default."""


TASKS: Mapping[str, Task] = {
    "vegas-a": Task("vegas", VEGAS, LEFT_OUT + 'scenes = ["img802", "img2144"]', BUILDING, VEGAS_0_1_0),
    "vegas-b": Task("vegas", VEGAS, LEFT_OUT + 'scenes = ["img225", "img1265"]', BUILDING, VEGAS_0_1_0),
    "dubai-4": Task("dubai", DUBAI, LEFT_OUT + 'places = ["tile4"]', COVER, DUBAI_0_1_0),
    "dubai-6": Task("dubai", DUBAI, LEFT_OUT + 'places = ["tile6"]', COVER, DUBAI_0_1_0),
    "rio": Task("rio", RIO, LEFT_OUT + 'scenes = ["img8"]', BUILDING, RIO_0_1_0),
    "rio-masks": Task("rio_masks", RIO_MASKS, LEFT_OUT + 'scenes = ["img56", "img57"]'),
    "chesapeake": Task("chesapeake", CHESAPEAKE, LEFT_OUT + 'scenes = ["6", "7"]', ""),
    "kampala": Task("kampala", KAMPALA, 'split = "place"\nshare = 0.25'),
}

OLD, PLAIN, PLAN = "0.1.0", "plain", "plan"
LITE0 = "models.*.network.encoder=efficientnet-lite0"
OLD_STRONG = "models.*.chips={ gain = 0.2, band_gain = 0.15, band_offset = 1.0, scale = 0.25 }"
OWN_LABELS = ("adapt.epochs=1", "adapt.scenes=new")
ARMS: Mapping[str, Sequence[str]] = {
    OLD: (),
    PLAIN: (),
    PLAN: (),
    "plan, own labels": OWN_LABELS,
    "colour of 0.1.0": (OLD_STRONG,),
    "strength 1": ("models.*.chips.strength=1.0",),
    "match": ("models.*.chips.match=0.5",),
    "cutmix": ("models.*.chips.cutmix=0.5",),
    "strength 1, match": ("models.*.chips.strength=1.0", "models.*.chips.match=0.5"),
    "adapt norm": ("predict.adapt=batchnorm",),
    "group norm": ("models.*.network.norm=group",),
    "encoder": (LITE0,),
    "encoder, frozen norm": (LITE0, "models.*.network.norm=frozen"),
    "encoder, strength 1": (LITE0, "models.*.chips.strength=1.0"),
    "encoder, match": (LITE0, "models.*.chips.match=0.5"),
    "encoder, adapt norm": (LITE0, "predict.adapt=batchnorm"),
    "encoder, own labels": (LITE0, *OWN_LABELS),
}
"""Settings beside those of a plain U-Net of 32 filters; of `0.1.0` beside those of its recipe, of arms that
begin with `plan` beside those that `landscribe plan` chooses for each task."""


def recipe_of(task: Task, arm: str, root: str) -> str:
    """Return the TOML of a task, as an arm begins with it.

    Args:
        task: The ground.
        arm: Its name; only that of 0.1.0 has a model of its own.
        root: Folder of all data.
    """
    head = f'seed = 0\n[data]\nroot = "{root}/{task.folder}"\n{task.data}{task.classes}'
    return f'{head}[[models]]\nname = "all"\n{task.old if arm == OLD else ""}\n[validate]\n{task.validate}\n'
