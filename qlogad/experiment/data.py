"""The data of an experiment: a data set, and how its lines are parsed, cut into windows and split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from qlogad import documents, names
from qlogad.bounds import Seed
from qlogad.errors import DocumentError, did_you_mean, shown
from qlogad.logs.dataset import Dataset
from qlogad.logs.inject import parse_spec
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.parser.known import read_templates
from qlogad.logs.parser.parser import MaxTemplates, Parser, Steered
from qlogad.logs.parser.templates import masked_template
from qlogad.logs.reading.mask import Mask
from qlogad.logs.split import SplitBy
from qlogad.logs.windows import Window

__all__ = ["Data", "Training"]

Training = Literal["normals", "all"]


@dataclass(frozen=True)
class Data:
    """The data of an experiment. Keys that a data set defines itself (`path`, ...) are kept in `source`."""

    dataset: str = "synthetic"
    source: Mapping[str, Any] = field(default_factory=dict)
    window: Window | None = None  # None: the data set's own default
    split: SplitBy = field(default_factory=SplitBy)
    # `name` (default "drain"), that parser's settings, and for every parser `known`, a file of known templates (see
    # qlogad.logs.parser.known), and `max_templates`, the most templates to keep: those least frequent in training are dropped
    parser: Mapping[str, Any] = field(default_factory=dict)
    masks: Mapping[str, str] | None = None  # name -> regular expression of variable parts; replaces the data set's masks
    extra_masks: Mapping[str, str] | None = None  # applied before the data set's masks
    training: Training = "normals"  # the windows to train on: the normal ones, or all; see qlogad.experiment.fit_rule
    inject: str | None = None  # "swap:3", "move:3", "repeat:2", "delay:60": labelled anomalies made from held-out normals
    seed: Seed = 0  # of the injections

    def __post_init__(self) -> None:
        documents.enforce(self)
        _check_masks(self)
        parser, steering = self._own_parser(), self._steering()
        settings: dict[str, Any] = (
            {one.name: getattr(parser, one.name) for one in fields(parser) if one.init} if is_dataclass(parser) else {}
        )
        for key, value in settings.items():
            if callable(value):
                raise DocumentError(f"[data] parser: {key} is text here, such as 'package:function', got {shown(value, 80)}")
        name = {} if isinstance(parser, Drain) else {"name": self.parser["name"]}
        object.__setattr__(self, "parser", name | settings | documents.plain(steering))  # including defaults
        if self.inject is not None:
            parse_spec(self.inject)

    def new_parser(self, *, parsed: bool = False, dataset: Dataset | None = None) -> Parser:
        """A new parser, not fitted; for messages that are already event ids (`parsed`), the one that leaves them unchanged.

        Args:
            parsed: messages are event ids.
            dataset: as returned by `open`; its masks are applied to known templates. None: these are masked already.

        Raises:
            UnknownName, DocumentError: there is no such parser, or it has no such setting.
            DataError: the known templates cannot be read, or are more than `max_templates`.
        """
        parser: Parser = Identity() if parsed else self._own_parser()
        steering = self._steering()
        if steering == Steering():
            return parser
        known = read_templates(steering.known) if steering.known is not None else ()
        if dataset is not None:
            mask = Mask(dataset.masks, dataset.mask_starts)
            known = tuple(masked_template(template, mask) for template in known)
        return Steered(parser, known, steering.max_templates)

    def _own_parser(self) -> Parser:
        steering = {one.name for one in fields(Steering)}
        settings = {key: value for key, value in self.parser.items() if key not in {"name", *steering}}
        cls = names.find("parser", str(self.parser.get("name", "drain")))
        own = {one.name for one in fields(cls) if one.init} if is_dataclass(cls) else set(settings)
        for key in settings:
            if key not in own:
                keys = sorted({"name", *own, *steering})
                raise DocumentError(f"[data] parser: unknown key {shown(key)}{did_you_mean(key, keys)}; known: {', '.join(keys)}")
        parser: Parser = documents.from_mapping(cls, settings, "[data] parser")
        return parser

    def _steering(self) -> Steering:
        own = {one.name: self.parser[one.name] for one in fields(Steering) if one.name in self.parser}
        return documents.from_mapping(Steering, own, "[data] parser")

    def open(self) -> Dataset:
        """Open the data set, check its keys and set its masks.

        Raises:
            UnknownName, DocumentError, DataError: with the key or file at fault.
        """
        cls = names.find("dataset", self.dataset)
        dataset: Dataset = documents.from_mapping(cls, self.source, f"[data] of dataset '{self.dataset}'")
        if self.masks is not None or self.extra_masks is not None:
            own = dataset.masks if self.masks is None else tuple(self.masks.items())
            extra = tuple((self.extra_masks or {}).items())
            dataset = copy(dataset)
            taken = dict(extra)
            object.__setattr__(dataset, "masks", (*extra, *((name, text) for name, text in own if name not in taken)))
            object.__setattr__(dataset, "mask_starts", "")
            Mask(dataset.masks)  # a combination may be invalid
        self.new_parser(dataset=dataset)  # a missing file is reported before the log is read
        return dataset


@dataclass(frozen=True)
class Steering:
    """The keys common to all parsers."""

    known: str | None = None  # a file of templates, or a model's folder
    max_templates: MaxTemplates | None = None


def _check_masks(data: Data) -> None:
    for key in ("masks", "extra_masks"):
        for name, text in (getattr(data, key) or {}).items():
            if not name.isidentifier():
                raise DocumentError(f"[data] {key}: {shown(name)} is not a name for a mask; write a word, such as IP")
            try:
                re.compile(text)
            except re.error as error:
                raise DocumentError(
                    f"[data] {key}: {name} = {shown(text, 80)} is not a regular expression: {error}; correct it, or quote it with '...'"
                ) from error


def data_of(table: Mapping[str, Any], where: str) -> Data:
    own = set(Data.__dataclass_fields__) - {"source"}
    content = {key: value for key, value in table.items() if key in own}
    content["source"] = {key: value for key, value in table.items() if key not in own}
    if isinstance(content.get("parser"), str):
        content["parser"] = {"name": content["parser"]}
    return documents.from_mapping(Data, content, f"{where}: [data]")
