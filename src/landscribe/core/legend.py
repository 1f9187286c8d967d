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
    """The classes of a run, in band order. Ids and names are unique."""

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
