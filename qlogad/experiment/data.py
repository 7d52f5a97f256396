"""What an experiment reads: a data set, how its lines are parsed, cut into windows and split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from qlogad import documents, names
from qlogad.bounds import Seed
from qlogad.logs.dataset import Dataset
from qlogad.logs.inject import parse_spec
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.identity import Identity
from qlogad.logs.parser.parser import Parser
from qlogad.logs.split import SplitBy
from qlogad.logs.windows import Window

__all__ = ["Data", "Training"]

Training = Literal["normals", "all"]


@dataclass(frozen=True)
class Data:
    """Where the windows come from and how time divides them. Keys a data set defines itself (`path`, ...) are kept in `source`."""

    dataset: str = "synthetic"
    source: Mapping[str, Any] = field(default_factory=dict)
    window: Window | None = None  # None: the data set's own default
    split: SplitBy = field(default_factory=SplitBy)
    parser: Mapping[str, Any] = field(default_factory=dict)  # `name` ("drain" unless said) and the settings of that parser
    training: Training = "normals"  # which windows: the normal ones, or all as they come; see qlogad.experiment.fit_rule
    inject: str | None = None  # "swap:3", "move:3", "repeat:2", "delay:60": labelled anomalies made from held-out normals
    seed: Seed = 0  # of the injections

    def __post_init__(self) -> None:
        documents.enforce(self)
        parser = self.new_parser()
        settings: dict[str, Any] = (
            {one.name: getattr(parser, one.name) for one in fields(parser) if one.init} if is_dataclass(parser) else {}
        )
        name = {} if isinstance(parser, Drain) else {"name": self.parser["name"]}
        object.__setattr__(self, "parser", name | settings)  # with what holds unless said
        if self.inject is not None:
            parse_spec(self.inject)

    def new_parser(self, *, parsed: bool = False) -> Parser:
        """The parser, not fitted yet; of messages that are event ids already (`parsed`), the one that leaves them as they are.

        Raises:
            UnknownName, DocumentError: there is no such parser, or no such setting of it.
        """
        if parsed:
            return Identity()
        settings = {key: value for key, value in self.parser.items() if key != "name"}
        cls = names.find("parser", str(self.parser.get("name", "drain")))
        parser: Parser = documents.from_mapping(cls, settings, "[data] parser")
        return parser

    def open(self) -> Dataset:
        """The data set itself, its keys checked.

        Raises:
            UnknownName, DocumentError, DataError: each names the key or file at fault.
        """
        cls = names.find("dataset", self.dataset)
        dataset: Dataset = documents.from_mapping(cls, self.source, f"[data] of dataset '{self.dataset}'")
        return dataset


def data_of(table: Mapping[str, Any], where: str) -> Data:
    own = set(Data.__dataclass_fields__) - {"source"}
    content = {key: value for key, value in table.items() if key in own}
    content["source"] = {key: value for key, value in table.items() if key not in own}
    if isinstance(content.get("parser"), str):
        content["parser"] = {"name": content["parser"]}
    return documents.from_mapping(Data, content, f"{where}: [data]")
