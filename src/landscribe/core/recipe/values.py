"""Kinds of values that several tables of the recipe share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Of a model or a sensor: files and folders are called by it."""
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
PerClass = dict[str, float]
Names = Name | tuple[Name, ...]
