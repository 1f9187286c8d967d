"""Land classes and legends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from landscribe.errors import RecipeError, problem

# Okabe & Ito (2008), "Color Universal Design": told apart by colour-blind readers. Black is left out.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")


@dataclass(frozen=True, slots=True)
class LandClass:
    """One kind of thing on the ground."""

    id: int
    """Number from 1, as in vector files and in DSTL's ClassType."""
    name: str
    """Name in files, tables and reports."""
    colour: str
    """`#RRGGBB`."""
    countable: bool = False
    """True where single objects matter (buildings, vehicles), so that counts are scored too."""


@dataclass(frozen=True)
class Legend:
    """The classes of a run, in band order. Ids and names are unique."""

    classes: tuple[LandClass, ...]

    def __post_init__(self) -> None:
        for field in ("id", "name"):
            values = [getattr(c, field) for c in self.classes]
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise RecipeError(problem("classes", f"{field} used twice", got=", ".join(twice)))

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

    def index(self, name: str) -> int:
        """Return the band index, from 0, of the class of that name."""
        return self.classes.index(self.by_name(name))


def default_colour(index: int) -> str:
    """Return a colour for the class at `index` of a legend without colours of its own."""
    return PALETTE[index % len(PALETTE)]


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
