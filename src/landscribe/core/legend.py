"""Land classes and legends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from landscribe.errors import DataError, RecipeError, problem

# Okabe & Ito (2008), "Color Universal Design": told apart by colour-blind readers. Black is left out.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")

COMMON = {
    word: colour
    for colour, words in {
        "#B22222": "building house roof rooftop residential hut shed church apartment",
        "#8C6D5A": "structure fence wall construction",
        "#2166AC": "water river lake stream canal waterway sea ocean reservoir",
        "#67A9CF": "pond pool wetland swamp marsh ditch",
        "#1B7837": "tree forest wood woodland canopy crown orchard",
        "#7FBC41": "grass vegetation grassland meadow lawn shrub scrub bush pasture",
        "#D9C84A": "crop field agriculture farmland farm cropland arable cultivated",
        "#4D4D4D": "road street highway motorway carriageway",
        "#969696": "impervious pavement asphalt parking sidewalk paved",
        "#C49A6C": "track path footpath trail",
        "#C2A27C": "bare barren soil sand ground land earth rock",
        "#C51B7D": "vehicle truck bus lorry",
        "#F46D43": "car ship boat vessel",
        "#7B3294": "rail railway railroad",
        "#313695": "solar panel photovoltaic",
        "#E7298A": "plane aircraft airplane helicopter",
        "#E0F3F8": "snow ice glacier",
        "#D9D9D9": "cloud clutter background",
    }.items()
    for word in words.split()
}
"""What things are called -> the colour that maps commonly give them; vehicles as in the DSTL legend."""


@dataclass(frozen=True, slots=True)
class LandClass:
    """One kind of thing on the ground.

    Examples:
        >>> import landscribe as ls
        >>> ls.LandClass(1, "house", "#B22222", countable=True).name
        'house'
    """

    id: int
    """Number as in vector files and in DSTL's ClassType, 0 or above."""
    name: str
    """Name in files, tables and reports."""
    colour: str
    """`#RRGGBB`."""
    countable: bool = False
    """True where single objects matter (buildings, vehicles), so that counts are scored too."""
    also: tuple[str, ...] = ()
    """Other names and ids that labels use for it."""


@dataclass(frozen=True)
class Legend:
    """The classes of a run, in band order. Ids and names are unique.

    Examples:
        >>> import landscribe as ls
        >>> legend = ls.Legend((ls.LandClass(1, "house", "#B22222"), ls.LandClass(2, "road", "#4D4D4D")))
        >>> legend.names, legend.index("road")
        (('house', 'road'), 1)
        >>> len(ls.DSTL_LEGEND), ls.DSTL_LEGEND.names[0]
        (10, 'building')
        >>> legend.by_name("raod")
        Traceback (most recent call last):
        landscribe.errors.RecipeError: classes: unknown class, got 'raod', need house | road
    """

    classes: tuple[LandClass, ...]
    is_partial: bool = False
    """True where labels may name other classes too, which are then left out and counted: nobody chose the classes of
    finished models by these labels."""

    def __post_init__(self) -> None:
        for field in ("id", "name"):
            values = [getattr(c, field) for c in self.classes]
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise RecipeError(problem("classes", f"{field} used twice", got=", ".join(twice)))
        said = [text for c in self.classes for text in {c.name, *c.also}]
        twice = sorted({text for text in said if said.count(text) > 1})
        if twice:
            raise RecipeError(problem("classes", "two classes are called the same", got=", ".join(twice)))

    def __iter__(self) -> Iterator[LandClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names in band order."""
        return tuple(c.name for c in self.classes)

    def by_name(self, name: str) -> LandClass:
        """Return the class of that name.

        Raises:
            RecipeError: If the legend has no such class.
        """
        for land_class in self.classes:
            if land_class.name == name:
                return land_class
        raise RecipeError(problem("classes", "unknown class", got=repr(name), need=" | ".join(self.names)))

    @cached_property
    def by_text(self) -> dict[str, LandClass]:
        """What a label may say -> class: its name first, then other names of it, then its id."""
        ids = {str(c.id): c for c in self.classes}
        return ids | {text: c for c in self.classes for text in c.also} | {c.name: c for c in self.classes}

    def find(self, text: str) -> LandClass | None:
        """Return the class that a label means: by `by_text`, else the only one that differs in case or blanks."""
        if text in self.by_text:
            return self.by_text[text]
        alike = {id(c): c for said, c in self.by_text.items() if plain_name(said) == plain_name(text)}
        return next(iter(alike.values())) if len(alike) == 1 else None

    def index(self, name: str) -> int:
        """Return the band index, from 0, of the class of that name."""
        return self.classes.index(self.by_name(name))


def plain_name(text: str) -> str:
    """Return a name without what people do not mean by it: case, and blanks in and around it."""
    return " ".join(text.split()).casefold()


def default_colour(index: int) -> str:
    """Return a colour for the class at `index` of a legend without colours of its own."""
    return PALETTE[index % len(PALETTE)]


def singular(word: str) -> str:
    """Return an English noun without its plural: buildings, churches and grasses lose their ending, glass does not."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3 else word


def named_colour(name: str) -> str | None:
    """Return the colour that maps commonly give to what a name says: water blue, trees green, buildings red.

    Where a name has several known words, the last one is what is meant: a tree nursery building is a building.
    """
    words = [singular(word) for word in re.findall(r"[^\W\d_]+", name.lower())]
    return next((COMMON[word] for word in reversed(words) if word in COMMON), None)


def distinct_colours(names: Sequence[str]) -> list[str]:
    """Return a colour for each name, no two alike: that of its meaning, else one of the palette that is left."""
    colours: list[str] = []
    for name in names:
        wanted = named_colour(name)
        spare = [colour for colour in PALETTE if colour not in colours]
        index = len(colours)
        # Beyond the palette a colour is mixed from the number alone, so that the same names give the same colours.
        mixed = f"#{(0x5A3C78 + 0x2F6B1D * index) % 0x1000000:06X}"
        colours.append(wanted if wanted and wanted not in colours else spare[0] if spare else mixed)
    return colours


# Names after DSTL's class list; ids are its ClassType. Colours: our own, by what the class is.
DSTL_LEGEND = Legend(
    (
        LandClass(1, "building", "#B22222", countable=True),
        LandClass(2, "structure", "#8C6D5A"),
        LandClass(3, "road", "#4D4D4D"),
        LandClass(4, "track", "#C49A6C"),
        LandClass(5, "tree", "#1B7837"),
        LandClass(6, "crop", "#D9C84A"),
        LandClass(7, "waterway", "#2166AC"),
        LandClass(8, "standing-water", "#67A9CF"),
        LandClass(9, "large-vehicle", "#C51B7D", countable=True),
        LandClass(10, "small-vehicle", "#F46D43", countable=True),
    )
)


def join_legends(legends: Mapping[str, Legend], do: str) -> Legend:
    """Return the classes of several runs as one legend.

    Args:
        legends: Of each run, by its name.
        do: What to do where they do not go together.

    Raises:
        DataError: If an id or a name is of another class in an earlier run.
    """
    known: dict[int, LandClass] = {}
    names: dict[str, int] = {}
    for key, legend in legends.items():
        for one in legend:
            if known.setdefault(one.id, one).name != one.name or names.setdefault(one.name, one.id) != one.id:
                what = f"class {one.id} {one.name!r} is another one in an earlier run"
                raise DataError(problem(f"run {key}", what, do=do))
    return Legend(tuple(known.values()))
