"""The labels of the images of a folder, and the colours of their classes."""

from __future__ import annotations

from collections.abc import Mapping

from landscribe.core.legend import distinct_colours
from landscribe.io.layout.found import FoundLabels, Inventory
from landscribe.io.layout.groups import Group
from landscribe.io.layout.layers import from_vectors
from landscribe.io.layout.masks import from_masks


def find_labels(
    inventory: Inventory, reference: Group, wishes: Mapping[str, str]
) -> tuple[list[FoundLabels], list[str]]:
    """Return the labels of the scenes of a group, and what to say of them.

    Vectors go before pictures of equally many scenes: they are exact.

    Args:
        inventory: Everything in the folder.
        reference: The files that decide the scenes.
        wishes: What the user said: `class`, `class_field`.

    Raises:
        RecipeError: If nothing says which class labels are of.
    """
    vectors, said_v = from_vectors(inventory, reference, wishes)
    masks, said_m = from_masks(inventory, reference, wishes)
    reach_v, reach_m = (max((found.scenes for found in some), default=0) for some in (vectors, masks))
    if vectors and masks:
        first, second = (vectors, masks) if reach_v >= reach_m else (masks, vectors)
        others = ", ".join(found.path for found in second)
        said = said_v if first is vectors else said_m
        return first, [*said, f"not used: {others}, labels of the same scenes; --set labels=PART takes them instead"]
    return (vectors or masks), [*said_v, *said_m]


def colour_classes(classes: Mapping[str, str | None]) -> dict[str, str]:
    """Return a colour for each class: the file's, else that of its meaning, no two alike."""
    given = [colour.upper() for colour in classes.values() if colour]
    usual = distinct_colours(list(classes))
    chosen: dict[str, str] = {}
    for name, own in zip(classes, usual, strict=True):
        colour = (classes[name] or own).upper()
        if classes[name] is None and colour in given:
            colour = next(c for c in distinct_colours([*classes, *map(str, range(40))])[::-1] if c not in given)
        chosen[name] = colour
    return chosen
