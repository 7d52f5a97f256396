"""What an experiment reads: a data set, how its lines are parsed, cut into windows and split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from qlogad import documents, names
from qlogad.bounds import Between, Seed
from qlogad.logs.dataset import Dataset
from qlogad.logs.inject import parse_spec
from qlogad.logs.split import SplitBy
from qlogad.logs.windows import Window

__all__ = ["Data", "ParserBy", "Training"]

Training = Literal["normals", "all"]


@dataclass(frozen=True)
class ParserBy:
    """The parser's settings (Drain: He et al., ICWS 2017).

    Unlike Drain3's, whose depth is 4, the default looks at two leading tokens: one setting for LogHub's sixteen samples groups .80 of
    the messages right at depth 5, .77 at 4 and .79 at 6.
    """

    depth: Annotated[int, Between(3, 1_000)] = 5
    similarity: Annotated[float, Between(0, 1)] = 0.4
    max_children: Annotated[int, Between(1, 1_000_000)] = 100


@dataclass(frozen=True)
class Data:
    """Where the windows come from and how time divides them. Keys a data set defines itself (`path`, ...) are kept in `source`."""

    dataset: str = "synthetic"
    source: Mapping[str, Any] = field(default_factory=dict)
    window: Window | None = None  # None: the data set's own default
    split: SplitBy = field(default_factory=SplitBy)
    parser: ParserBy = field(default_factory=ParserBy)
    training: Training = "normals"  # which windows: the normal ones, or all as they come; see qlogad.experiment.fit_rule
    inject: str | None = None  # "swap:3", "move:3", "repeat:2", "delay:60": labelled anomalies made from held-out normals
    seed: Seed = 0  # of the injections

    def __post_init__(self) -> None:
        documents.enforce(self)
        if self.inject is not None:
            parse_spec(self.inject)

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
    return documents.from_mapping(Data, content, f"{where}: [data]")
