"""A table of gatepost.toml, and the durations that stand in many of them."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from gatepost.model import settings_checks as checks
from gatepost.model.quantities import parse_duration

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
LongDuration = Annotated[Duration, AfterValidator(checks.not_zero)]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
