"""The recipe: one strict, frozen model per table. Every default of a run lives here and nowhere else.

Reading TOML, overrides and "did you mean" are in `landscribe.io.settings`. Lengths are metres where scenes have a CRS,
pixels where they have none, unless the name says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from landscribe.core.recipe.adapt import AdaptTable
from landscribe.core.recipe.chips import ChipTable
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
from landscribe.core.recipe.mistakes import explain
from landscribe.core.recipe.models import (
    InputTable,
    LossTable,
    ModelTable,
    NetworkTable,
    PredictTable,
    ScheduleTable,
    StageTable,
)
from landscribe.core.recipe.mosaic import MosaicTable
from landscribe.core.recipe.outputs import OutputsTable
from landscribe.core.recipe.polygons import (
    AreaTable,
    LengthTable,
    SubmitTable,
    ThresholdTable,
    TuneTable,
    VectorizeTable,
)
from landscribe.core.recipe.rules import RULE_ACTIONS, AreaWindowTable, EraseTable, RuleTable, VoteTable, name_list
from landscribe.core.recipe.scale import ScaleTable
from landscribe.core.recipe.shown import show_recipe
from landscribe.core.recipe.spectral import GateTable, SearchTable, SpectralRowTable, SpectralTable, SwitchTable
from landscribe.core.recipe.splits import ValidateTable
from landscribe.core.recipe.values import Colour, Count, Name, Names, NonNegative, PerClass, Positive, Share
from landscribe.errors import RecipeError, problem

__all__ = [
    "RULE_ACTIONS",
    "AdaptTable",
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
    "MosaicTable",
    "Name",
    "Names",
    "NetworkTable",
    "NonNegative",
    "OutputsTable",
    "PerClass",
    "Positive",
    "PredictTable",
    "PrepareTable",
    "Recipe",
    "RuleTable",
    "ScaleTable",
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
    """One whole run.

    In a program its tables may be given as plain lists and dictionaries, with the keys that TOML has.

    Raises:
        RecipeError: If they say something that a recipe does not know, all mistakes in one line.

    Examples:
        >>> import landscribe as ls
        >>> sensors = {"RGB": {"path": "img/{scene}.tif", "kind": "rgb8"}}
        >>> recipe = ls.Recipe(data={"sensors": sensors}, models=[{"name": "houses", "classes": ["house"]}], seed=3)
        >>> recipe.models[0].classes
        ('house',)
        >>> ls.Recipe(data={"sensors": sensors}, sede=3)
        Traceback (most recent call last):
        landscribe.errors.RecipeError: recipe: unknown key 'sede', did you mean 'seed'?
    """

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
    mosaic: MosaicTable = MosaicTable()
    outputs: OutputsTable = OutputsTable()
    scale: ScaleTable = ScaleTable()
    submit: SubmitTable = SubmitTable()
    adapt: AdaptTable = AdaptTable()
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

    @model_validator(mode="after")
    def _adapts(self) -> Recipe:
        if self.predict.adapt != "none":
            for table in self.models:
                if table.kind == "network" and not table.network.has_batch_norm:
                    text = f"predict.adapt = {self.predict.adapt!r} needs batch norm in model {table.name!r}"
                    raise ValueError(text)
        if self.adapt.epochs and self.predict.snapshots:
            raise ValueError("predict.snapshots = true does not go with [adapt]: it ends with one network each")
        return self

    def __init__(self, **tables: Any) -> None:
        _fill(self, tables, "recipe")

    @classmethod
    def of(cls, table: Mapping[str, Any], name: str = "recipe") -> Recipe:
        """Read a whole recipe from plain values.

        Args:
            table: What it says, as TOML would.
            name: What it is called in messages.

        Raises:
            RecipeError: If it says something that a recipe does not know.
        """
        recipe = cls.__new__(cls)
        _fill(recipe, table, name)
        return recipe

    def _repr_html_(self) -> str:
        return show_recipe(self, "Recipe")


def _fill(recipe: Recipe, table: Mapping[str, Any], name: str) -> None:
    try:
        # Through JSON, since strict models take lists for tuples there and nothing else that TOML can say.
        text = json.dumps(dict(table), default=_plain)
    except TypeError as error:
        raise RecipeError(problem(name, str(error))) from None
    except (RecursionError, ValueError):  # Python says of a circle that it is one, or runs out of frames
        raise RecipeError(problem(name, "nested too deeply")) from None
    try:
        recipe.__pydantic_validator__.validate_json(text, self_instance=recipe)
    except ValidationError as errors:
        raise RecipeError(problem(name, explain(errors, json.loads(text), Recipe))) from None


def _plain(value: Any) -> Any:
    """Return what JSON can say of a value that it does not know."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, PurePath):
        return value.as_posix()
    if hasattr(value, "tolist"):  # numbers and arrays of NumPy
        return value.tolist()
    raise TypeError(f"holds a {type(value).__name__}; no setting is one")
