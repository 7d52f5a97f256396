"""Options from the fields of a dataclass."""

from __future__ import annotations

import dataclasses
from inspect import Parameter
from typing import Annotated, Any, get_args, get_type_hints

import typer

from qlogad.bounds import Between

__all__ = ["parameters"]


def parameters(cls: type[Any]) -> list[Parameter]:
    """One keyword for every field of a dataclass, as Typer reads them: `--name`, its bounds, its help and its default.

    Args:
        cls: its fields have defaults and are `Annotated` with one line of help, and numbers with their bounds (`Between`).
    """
    hints = get_type_hints(cls, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=_option(field.name, hints[field.name]))
        for field in dataclasses.fields(cls)
    ]


def _option(name: str, hint: object) -> object:
    kind, *told = get_args(hint)
    bounds = {end: getattr(one, at) for one in told if isinstance(one, Between) for end, at in (("min", "low"), ("max", "high"))}
    words = "".join(one for one in told if isinstance(one, str))
    return Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", help=words, **bounds)]
