"""The recipe: one strict, frozen model per table. Every default of a run lives here and nowhere else.

Reading TOML, overrides and "did you mean" are in `landscribe.io.settings`. Lengths are metres where scenes have a CRS,
pixels where they have none, unless the name says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from landscribe.core.recipe.data import ClassTable, DataTable, KindTable, LabelTable, PrepareTable, SensorTable
from landscribe.core.recipe.models import (
    MEMBER,
    ChipTable,
    InputTable,
    LossTable,
    ModelTable,
    NetworkTable,
    PredictTable,
    ScheduleTable,
    StageTable,
)
from landscribe.core.recipe.polygons import AreaTable, ThresholdTable, TuneTable, VectorizeTable
from landscribe.core.recipe.rules import RULE_ACTIONS, AreaWindowTable, EraseTable, RuleTable, VoteTable, name_list
from landscribe.core.recipe.spectral import GateTable, SearchTable, SpectralRowTable, SpectralTable, SwitchTable
from landscribe.core.recipe.values import Colour, Count, Name, Names, NonNegative, PerClass, Positive, Share

__all__ = [
    "MEMBER",
    "RULE_ACTIONS",
    "AreaTable",
    "AreaWindowTable",
    "ChipTable",
    "ClassTable",
    "Colour",
    "Count",
    "DataTable",
    "EraseTable",
    "GateTable",
    "InputTable",
    "KindTable",
    "LabelTable",
    "LossTable",
    "ModelTable",
    "Name",
    "Names",
    "NetworkTable",
    "NonNegative",
    "PerClass",
    "Positive",
    "PredictTable",
    "PrepareTable",
    "Recipe",
    "RuleTable",
    "ScheduleTable",
    "SearchTable",
    "SensorTable",
    "Share",
    "SpectralRowTable",
    "SpectralTable",
    "StageTable",
    "SwitchTable",
    "ThresholdTable",
    "TuneTable",
    "ValidateTable",
    "VectorizeTable",
    "VoteTable",
    "name_list",
]


class ValidateTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[validate]`: which scenes are kept out of training and scored."""

    split: Literal["place", "named", "none"] = "place"
    """`place` draws whole places; `named` takes `places` and `scenes` below; `none` trains on everything."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    places: tuple[Name, ...] = ()
    scenes: tuple[Name, ...] = ()
    leak_check: bool = True
    """Refuse to train when a held-out scene shows the ground of a training scene, by footprint or by its looks."""


class Recipe(BaseModel, frozen=True, extra="forbid", strict=True):
    """One whole run."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    tensorboard: bool = False
    """Write TensorBoard scalars beside `history.csv`; needs the extra `landscribe[tensorboard]`."""
    data: DataTable
    classes: tuple[ClassTable, ...] = ()
    prepare: PrepareTable = PrepareTable()
    models: tuple[ModelTable, ...] = (ModelTable(),)
    predict: PredictTable = PredictTable()
    tune: TuneTable = TuneTable()
    vectorize: VectorizeTable = VectorizeTable()
    rules: tuple[RuleTable, ...] = ()
    validation: ValidateTable = Field(default=ValidateTable(), alias="validate")
