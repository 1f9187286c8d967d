"""Tables of the recipe about imagery and labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from landscribe.apart import Limits
from landscribe.core.recipe.values import Colour, Count, FileName, Name, NonNegative, PerClass, Positive

NOT_A_SENSOR = ("coverage", "labels", "scene")
"""What a prepared scene has beside its sensors."""
SHARP = "-sharp"
"""Ending of the name of a pansharpened sensor."""


class SensorTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[data].sensors.NAME`: where one sensor's rasters lie."""

    path: Name
    """Pattern below `[data].root`; `{scene}` or any other `{field}` stands for a part of the name without a slash."""
    kind: Name
    """Row of the sensor catalogue, or of `[[data.kinds]]`."""
    without: tuple[Name, ...] = ()
    """Patterns of files that `path` would take too and that are none of this sensor's, such as masks beside images."""
    bands: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    """Numbers, from 1, of the file's bands in the order of the kind's: `[3, 2, 1]` reads blue, green, red as red,
    green, blue. None takes the bands as they stand, and refuses a file that names them in another order."""
    alpha: bool | None = None
    """Whether the file's last band is transparency. None looks: as many bands as the kind has are all bands, and one
    more is transparency if its pixels are."""
    nodata: float | None = None
    """Value that means "no data" in every band; None takes what the file says (nodata, mask or alpha)."""
    nodata_bands: Literal["all", "any"] = "all"
    """Whether a pixel has no data where all bands have the nodata value, or where any of them has."""
    scale: bool = False
    """Apply the factor and offset that the file states for its bands (Sentinel-2's -1000): values become floats."""
    frame: Literal["file", "webmercator-tile"] = "file"
    """`webmercator-tile` takes the georeference from `{x}`, `{y}`, `{z}` in the path."""


class KindTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[data.kinds]]`: a sensor that the catalogue lacks."""

    kind: Name
    bands: tuple[Name, ...] = Field(min_length=1)
    wavelengths_nm: tuple[NonNegative, ...] = ()
    gsd_m: NonNegative = 0.0
    bits: Annotated[int, Field(ge=0, le=64)] = 0


class LabelTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[data].labels`: what is on the ground, as vectors or as pictures; one table, or a list of them.

    Of several tables, a scene has the classes of all. Ground counts where every one of them says something.
    """

    path: Name
    """Pattern with `{scene}` for a file per scene, or one file for all of them."""
    missing: Literal["unlabelled", "empty"] = "unlabelled"
    """What it means that a scene has no such file: nobody looked, so that it is only predicted, or nothing is there."""
    area: Name | None = None
    """Polygons where somebody looked, a file per scene or one for all: ground outside of them is unlabelled."""
    class_name: Name | None = Field(default=None, alias="class")
    """Every polygon is of this class."""
    class_field: Name | None = None
    """Column that names the class (its name or its id)."""
    layer: Name | None = None
    """Layer of a file that has several with polygons."""
    layers: dict[str, Name] | None = None
    """A layer of the file for each class."""
    names: Name | None = None
    """YOLO: file that says what the numbers of classes mean; None looks for classes.txt or data.yaml beside the labels
    and above."""
    buffer_m: Positive | None = None
    """Makes polygons of lines and points: this far to each side, in metres."""
    buffer_px: Positive | None = None
    """The same in pixels of the reference, where scenes have no CRS."""
    width_field: Name | None = None
    """Column with the whole width of each line or point in metres, or pixels without a CRS; `buffer_m` or `buffer_px`
    stands in where it is empty."""
    colours: dict[str, Colour] | None = None
    """Label picture: colour of each class."""
    values: dict[str, int | Literal["any"]] | None = None
    """Label picture with one band: pixel value of each class. `any` is all values but 0 and those that are named, as
    where each object has a number of its own."""
    bands: dict[str, Count] | None = None
    """Label picture with a band per class: its number from 1. A pixel is of each class whose band is not 0 there, or,
    in bands of 0 to 255, at least half."""
    unlabelled: Colour | int | None = None
    """Colour or value of pixels nobody labelled; they are left out of loss and score. All others that no class names
    say that none of the classes is there."""
    nodata: Literal["background", "unlabelled"] = "background"
    """What a label picture calls nodata, or has transparent: ground without any of the classes, or nobody looked."""

    @property
    def is_shared(self) -> bool:
        """True for one file that holds the labels of all scenes."""
        return "{" not in self.path

    @property
    def widens(self) -> bool:
        """True where lines and points become polygons."""
        return self.buffer_m is not None or self.buffer_px is not None or self.width_field is not None

    @property
    def is_picture(self) -> bool:
        """True for pictures, False for vectors."""
        return self.colours is not None or self.values is not None or self.bands is not None

    @model_validator(mode="after")
    def _one_way(self) -> LabelTable:
        ways = ("class_name", "class_field", "layers", "colours", "values", "bands")
        named = [name.removesuffix("_name") for name in ways if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} both say the class; one of them can")
        if self.layer is not None and self.layers is not None:
            raise ValueError("layer and layers both name layers; one of them can")
        if self.buffer_m is not None and self.buffer_px is not None:
            raise ValueError("buffer_m and buffer_px both give a width; one of them can")
        if self.layers == {}:
            raise ValueError("layers names no class")
        for name in ("colours", "values", "bands"):
            table = getattr(self, name)
            if table is not None:
                self._check_paint(name, [v.upper() if isinstance(v, str) else v for v in table.values()])
        return self

    def _check_paint(self, name: str, painted: list[str | int]) -> None:
        if not painted:
            raise ValueError(f"{name} names no class")
        if isinstance(self.unlabelled, str) and name != "colours":
            raise ValueError(f"unlabelled is a colour, {name} go with a number")
        also = [self.unlabelled.upper() if isinstance(self.unlabelled, str) else self.unlabelled]
        twice = sorted({str(v) for v in painted if [*painted, *(also if name != "bands" else [])].count(v) > 1})
        if twice:
            raise ValueError(f"{name} names {twice[0]} twice")


class ClassTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[classes]]`: a row of the legend. Without this table the classes are those of the labels, by name."""

    name: Name
    id: Annotated[int, Field(ge=0)] | None = None
    """As it stands in label files; None numbers the classes from 1."""
    also: tuple[Name, ...] = ()
    """Other names and ids that labels use for it."""
    colour: Colour | None = None
    countable: bool = False


class DataTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[data]`: imagery and labels."""

    source: Literal["files", "dstl", "stac"] = "files"
    """`stac` takes scenes from the item files that `items` names; `path` of a sensor is then the name of its asset."""
    network: bool = False
    """Allow `https://` and `s3://` in `path` of a sensor, or in STAC items: `check` reads their heads, `prepare` copies
    them once, nothing else asks a server. A path needs `[data].scenes`, since servers are not listed. See
    docs/remote.md."""
    items: Name | None = None
    """Pattern of STAC item files below `root`."""
    root: Name = "."
    """Folder that relative paths start from; itself relative to the recipe's folder."""
    sensors: dict[FileName, SensorTable] = {}
    """Sensors by name; the first one is the reference: its grid is the grid of the result. A name is up to 64 letters,
    digits, `_`, `.` and `-`, and files are called by it."""
    optional: tuple[Name, ...] = ()
    """Sensors that a scene may lack: their pixels are then missing, as nodata is. A network learns to live without
    one by `chips.sensor_dropout`, or from scenes that lack it."""
    kinds: tuple[KindTable, ...] = ()
    labels: tuple[LabelTable, ...] = ()
    """One table, or a list of them where a scene has several files."""
    scene: Name = "{scene}"
    """Scene id made of the fields in the paths."""
    place: Name = "{scene}"
    """Place made of the same fields; scenes of one place never stand on both sides of a split."""
    scenes: tuple[Name, ...] | None = None
    """Only these scene ids, in this order; None takes all that are found."""
    reviews: Name | None = None
    """Folder, from that of the recipe, of what people said of what was found; `landscribe absorb` makes it and writes
    this line. Its polygons and its ground count as labels. See docs/loop.md."""

    @field_validator("labels", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        # Strict models take tuples only, once a value has been in Python's hands.
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, dict | LabelTable) else value

    @model_validator(mode="after")
    def _own_files(self) -> DataTable:
        seen: dict[str, str] = {}
        for name in self.sensors:
            if name.casefold() in NOT_A_SENSOR:
                raise ValueError(f"a sensor cannot be called {name!r}: scenes have something else of that name")
            if name.casefold() in seen:
                raise ValueError(f"sensors {seen[name.casefold()]!r} and {name!r} differ in nothing but case")
            seen[name.casefold()] = name
        return self


class PrepareTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[prepare]`."""

    align: Literal["fit", "none", "ecc", "ecc-green"] = "fit"
    """How the shift between sensors is estimated: `fit` predicts the coarser of two sensors from the finer one; `ecc`
    is the way of the fifth-placed DSTL solution, `ecc-green` that of the third-placed one's water script; `none` takes
    sensors to lie where their georeference says. `prepared/alignment.csv` says what came of it."""
    align_model: Literal["translation", "affine"] = "translation"
    """`affine` lets `fit` turn, stretch and shear a sensor where that explains more than a shift does."""
    max_shift_px: Positive = 40.0
    """A longer shift, in pixels of the reference sensor, is taken for a mistake and not applied."""
    ecc_limit_s: Positive = 60.0
    """So many seconds may `ecc` and `ecc-green` take for one sensor of a scene; what takes longer is refused."""
    pansharpen: Literal["none", "brovey", "modulation"] = "none"
    """Writes `prepared/<scene>/sensors/<sensor>-sharp.tif` for every sensor that is coarser than the finest, for
    looking at: its bands with the detail of the finest sensor. No network reads it."""
    target: Literal["share", "gdal", "opencv", "touched"] = "share"
    """What training sees of the labels: the covered share of each pixel, or a 0/1 mask with the pixels whose centre is
    inside (`gdal`), those and the outline's (`opencv`, as in both DSTL methods), or all that are touched."""
    grow_px: PerClass = {}
    """By how many pixels of the reference the training labels of a class are grown, negative to shrink: the fifth
    place of DSTL grew structures by 0.5. Scores on polygons go by the labels as they are."""


class LimitsTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[limits]`: what reading one scene may take in a process of its own; one that takes more is named."""

    seconds: Annotated[float, Field(gt=0)] = Limits().seconds
    """Without a sign of life: a window or step done. Each megabyte of its files adds a second. Tried twice."""
    memory_share: Annotated[float, Field(gt=0, le=1)] = Limits().memory_share
    """Of the memory that is free, for all such processes together."""
