"""The recipe: one strict, frozen model per table. Every default of a run lives here and nowhere else.

Reading TOML, overrides and "did you mean" are in `landscribe.io.settings`. Lengths are metres where scenes have a CRS,
pixels where they have none, unless the name says otherwise.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from landscribe.core.recipe.data import (
    SHARP,
    ClassTable,
    DataTable,
    KindTable,
    LabelTable,
    LimitsTable,
    PrepareTable,
    SensorTable,
)
from landscribe.core.recipe.models import (
    ChipTable,
    InputTable,
    LossTable,
    ModelTable,
    NetworkTable,
    PredictTable,
    ScheduleTable,
    StageTable,
)
from landscribe.core.recipe.polygons import (
    AreaTable,
    LengthTable,
    SubmitTable,
    ThresholdTable,
    TuneTable,
    VectorizeTable,
)
from landscribe.core.recipe.rules import RULE_ACTIONS, AreaWindowTable, EraseTable, RuleTable, VoteTable, name_list
from landscribe.core.recipe.spectral import GateTable, SearchTable, SpectralRowTable, SpectralTable, SwitchTable
from landscribe.core.recipe.splits import ValidateTable
from landscribe.core.recipe.values import Colour, Count, Name, Names, NonNegative, PerClass, Positive, Share

__all__ = [
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
    "LengthTable",
    "LimitsTable",
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
    "SubmitTable",
    "SwitchTable",
    "ThresholdTable",
    "TuneTable",
    "ValidateTable",
    "VectorizeTable",
    "VoteTable",
    "name_list",
]


class Recipe(BaseModel, frozen=True, extra="forbid", strict=True):
    """One whole run."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    tensorboard: bool = False
    """Write TensorBoard scalars beside `history.csv`; needs the extra `landscribe[tensorboard]`."""
    memory_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the free memory that scenes may take in training. Where they would take more, they are decoded once into
    files in the run folder and looked at there; the networks are the same bit for bit."""
    data: DataTable
    classes: tuple[ClassTable, ...] = ()
    prepare: PrepareTable = PrepareTable()
    models: tuple[ModelTable, ...] = (ModelTable(),)
    predict: PredictTable = PredictTable()
    tune: TuneTable = TuneTable()
    vectorize: VectorizeTable = VectorizeTable()
    rules: tuple[RuleTable, ...] = ()
    submit: SubmitTable = SubmitTable()
    limits: LimitsTable = LimitsTable()
    validation: ValidateTable = Field(default=ValidateTable(), alias="validate")

    @model_validator(mode="after")
    def _sharpened(self) -> Recipe:
        names = {name.casefold(): name for name in self.data.sensors}
        for name in self.data.sensors:
            other = names.get((name + SHARP).casefold())
            if other is not None and self.prepare.pansharpen != "none":
                text = f"sensor {name!r}, sharpened, would lie where sensor {other!r} does: give that another name"
                raise ValueError(text)
        return self

    @model_validator(mode="after")
    def _bytes(self) -> Recipe:
        if self.predict.precision == "int8":
            for table in self.models:
                if table.kind == "network" and table.network.float_only:
                    other = ", ".join(table.network.float_only)
                    raise ValueError(f"predict.precision = 'int8' does not go with {other} of model {table.name!r}")
        return self
