"""A setting that can't be used is named as the user wrote it, with what would be valid."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from runtime.errors import UserError
from runtime.settings import Settings, build


class Fast(Settings):
    """One kind of engine."""

    kind: Literal["fast"] = "fast"
    """Tag."""
    speed: int
    """A number."""


class Slow(Settings):
    """Another kind of engine."""

    kind: Literal["slow"] = "slow"
    """Tag."""


class Whole(Settings):
    """Settings with everything that nests."""

    engines: dict[str, Annotated[Fast | Slow, Field(discriminator="kind")]] = Field(default_factory=dict)
    """Told apart by `kind`."""
    maybe: Fast | None = None
    """Optional."""
    size: Literal["auto"] | int = "auto"
    """A union of plain values."""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"engine": {}}, r"p\.engine: no such setting \(did you mean 'engines'\?\)"),
        ({"engines": {"a": {"kind": "fast", "sped": 1}}}, r"p\.engines\.a\.speed: must be set"),
        (
            {"engines": {"a": {"kind": "fast", "speed": 1, "speeed": 1}}},
            r"p\.engines\.a\.speeed: no such setting \(did you mean 'speed'\?\)",
        ),
        ({"engines": {"a": {"kind": "fats"}}}, r"p\.engines\.a: .*'fats'.*'fast', 'slow'"),
        ({"maybe": {"speed": "x"}}, r"p\.maybe\.speed='x': "),
        ({"maybe": {"speeed": 1, "speed": 1}}, r"p\.maybe\.speeed: no such setting \(did you mean 'speed'\?\)"),
        ({"size": "big"}, r"p\.size='big': "),
    ],
)
def test_the_message_names_the_setting_as_it_was_written(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}") as caught:
        build(Whole, values, "p")
    assert "\n" not in str(caught.value)


class Agreeing(Settings):
    """Settings of which two must agree."""

    low: int = 0
    """A number."""
    high: int = 1
    """Another."""

    @model_validator(mode="after")
    def _agree(self) -> "Agreeing":
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}; lower it")
        return self


def test_settings_that_do_not_agree_are_named_by_their_own_message_alone() -> None:
    with pytest.raises(UserError, match=r"^low=2 is above high=1; lower it$"):
        build(Agreeing, {"low": 2}, "")
    with pytest.raises(UserError, match=r"^media\.cut: low=2 is above"):
        build(Agreeing, {"low": 2}, "media.cut")
