"""From windows to features: parser, vocabulary and views are fitted on training windows, then frozen.

lines of training windows ─► parser ─► vocabulary ─► ids of any windows ─► distinct rows, each with its multiplicity ─► views
                                                                       └─► one row per window, with all attributes of events ─► views
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from qlogad import names
from qlogad.arrays import Ints
from qlogad.documents import digest
from qlogad.errors import DataError, NotFitted
from qlogad.features.features import Features, Labels
from qlogad.features.view import Columns, View, coded, fit_views, learns
from qlogad.logs.events import Events
from qlogad.logs.parser.parser import Parser, load_parser
from qlogad.logs.windows import Windows, spans

__all__ = ["FeaturePipeline"]


class FeaturePipeline:
    """All steps between windows and a detector, fitted on training windows only.

    After `fit`: `vocabulary_` (V templates, by id) and `base_` (a digest that all contenders of a comparison share).
    """

    vocabulary_: tuple[str, ...]
    base_: str
    _templates: list[int]  # the parser's template id, by event id
    _seen: frozenset[str]  # fingerprints of the training sequences
    _fitted: dict[str, View]  # views with fitted state

    def __init__(self, views: Sequence[str] = ("ids",), *, parser: Parser) -> None:
        """Create an unfitted pipeline.

        Args:
            views: names of views, see `qlogad list view`.
            parser: not yet fitted: `Drain()`, or `Identity()` for parsed events.

        Raises:
            UnknownName: there is no such view.
        """
        self.views = tuple(views)
        self.parser = parser
        self._kinds: dict[str, type[View]] = {name: names.find("view", name) for name in self.views}

    def fit(self, events: Events, windows: Windows, context: str = "") -> Self:
        """Fit the parser on the distinct lines of the training windows in source order, build the vocabulary, and fit the views.

        Args:
            events: the log.
            windows: its training windows.
            context: additional text that the base digest covers, such as the digest of the split.

        Raises:
            DataError: there are no training windows.
        """
        if len(windows) == 0:
            raise DataError("there are no training windows; choose a later cut or more data")
        text_L = events.text_E[np.unique(windows.event_M)]
        self.parser.fit(events.texts[text] for text in text_L.tolist())
        template_T = self.parser.ids(events.texts)
        shown, first = np.unique(template_T[text_L], return_index=True)
        shown = shown[np.argsort(first)]
        self._templates = shown[shown >= 0].tolist()  # a parser with a cap drops templates
        if not self._templates:
            raise DataError("the parser has found no template in the training messages; raise max_templates, or change the parser")
        texts_T = self.parser.templates
        self.vocabulary_ = tuple(texts_T[template] for template in self._templates)
        self.base_ = digest(events.digest, self.parser.state(), windows.digest(), self.vocabulary_, context)
        id_M = self._numbered(template_T)[events.text_E[windows.event_M]]
        self._seen = frozenset(map(_fingerprint, set(_sequences(id_M, windows.offsets_W1))))
        self._fitted = {}
        for apart in sorted({kind.apart for kind in self._kinds.values() if learns(kind)}):
            base, _ = self._rows(events, windows, apart)
            self._fitted |= fit_views([name for name, kind in self._kinds.items() if kind.apart == apart], base)
        return self

    def event_ids(self, events: Events) -> Ints:
        """The event id of every line, (E,): 0..V-1, or V for templates not seen in the training windows.

        Raises:
            NotFitted: before `fit`.
        """
        self._check()
        return self._numbered(self.parser.ids(events.texts))[events.text_E]

    def transform(self, events: Events, windows: Windows, *, apart: bool = False) -> tuple[Features, Labels]:
        """Windows as distinct rows of (ids, label), ordered by their first window, with all views.

        Args:
            events: the log.
            windows: any of its windows.
            apart: make every window a row, with the times, levels, components and values of its events, for views that read them.

        Raises:
            NotFitted: before `fit`.
            DataError: a window has no label.
        """
        self._check()
        unknown = int((windows.label_W < 0).sum())
        if unknown:
            raise DataError(
                f"{unknown} of {len(windows)} windows have no label; select the labelled ones: windows.take(windows.label_W >= 0)"
            )
        return self._rows(events, windows, apart)

    def _rows(self, events: Events, windows: Windows, apart: bool) -> tuple[Features, Labels]:
        template_T = self.parser.ids(events.texts)
        id_M = self._numbered(template_T)[events.text_E[windows.event_M]]
        sequence_W = _sequences(id_M, windows.offsets_W1)
        row_W = np.arange(len(windows))
        if not apart:
            rows: dict[tuple[bytes, int], int] = {}
            pairs = zip(sequence_W, windows.label_W.tolist(), strict=True)
            row_W = np.fromiter((rows.setdefault(pair, len(rows)) for pair in pairs), dtype=np.int64, count=len(windows))
        first_N = np.unique(row_W, return_index=True)[1]
        lengths_N = windows.lengths_W[first_N]
        place_E = spans(windows.offsets_W1[first_N], lengths_N)
        features = Features(
            ids_E=id_M[place_E],
            offsets_N1=np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int64),
            weight_N=np.bincount(row_W, minlength=len(first_N)).astype(np.float64),
            vocabulary=self.vocabulary_,
            row_W=row_W,
            window_keys_W=windows.key_W,
            event_line_E=events.line_E[windows.event_M[place_E]],
            seen_N=np.asarray([_fingerprint(sequence_W[first]) in self._seen for first in first_N], dtype=np.bool_),
            base=self.base_,
            views=MappingProxyType(self._fitted),
            per_event=self._columns(events, windows, template_T) if apart else None,
        )
        return features, Labels(np.maximum(windows.label_W[first_N], 0).astype(np.int64))

    def _columns(self, events: Events, windows: Windows, template_T: Ints) -> Columns:
        """The attributes of the windows' events; times come from the windows, where delays may have been injected."""
        event_U, which_M = np.unique(windows.event_M, return_inverse=True)
        values_U = list(self._parameters(events, event_U, template_T))
        value_P, values = coded([value for own in values_U for value in own])
        offsets_U1 = np.concatenate([[0], np.cumsum([len(own) for own in values_U])]).astype(np.int64)
        text_T, text_U = np.unique(events.text_E[event_U], return_inverse=True)
        distinct = Columns(
            time_E=events.time_E[event_U],
            level_E=events.level_E[event_U].astype(np.int32),
            levels=events.levels,
            component_E=events.component_E[event_U].astype(np.int32),
            components=events.components,
            value_P=value_P,
            value_offsets_E1=offsets_U1,
            values=values,
            text_E=text_U.astype(np.int32),
            texts=tuple(events.texts[text] for text in text_T.tolist()),
        )
        return replace(distinct.take(which_M.reshape(-1)), time_E=windows.time_M)

    def _parameters(self, events: Events, event_U: Ints, template_T: Ints) -> Iterator[tuple[str, ...]]:
        """The variable parts of messages according to their templates; for messages without one, the masked parts."""
        as_cut: dict[int, bool] = {}  # template -> whether its parameters are exactly the masked parts
        for event, text in zip(event_U.tolist(), events.text_E[event_U].tolist(), strict=True):
            cut, template = events.values_E[event], int(template_T[text])
            if text not in as_cut:
                marks = tuple(f"\0{number}" for number in range(len(cut)))
                as_cut[text] = template < 0 or self.parser.parameters(template, events.texts[text], marks) == marks
            yield cut if as_cut[text] else self.parser.parameters(template, events.texts[text], cut)

    def state(self) -> dict[str, Any]:
        """The fitted state, as JSON types."""
        self._check()
        return {
            "views": list(self.views),
            "parser": self.parser.state(),
            "templates": self._templates,
            "seen": sorted(self._seen),
            "base": self.base_,
            "fitted": {name: view.state() for name, view in self._fitted.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The fitted pipeline with the state that `state()` returned."""
        pipeline = cls(state["views"], parser=load_parser(state["parser"]))
        pipeline._templates = list(state["templates"])
        pipeline.vocabulary_ = tuple(pipeline.parser.templates[template] for template in pipeline._templates)
        pipeline._seen = frozenset(state["seen"])
        pipeline.base_ = state["base"]
        learning = {name: kind for name, kind in pipeline._kinds.items() if learns(kind)}
        pipeline._fitted = {name: kind.from_state(state["fitted"][name]) for name, kind in learning.items()}
        return pipeline

    def _numbered(self, template_T: Ints) -> Ints:
        """Event ids for the parser's template ids."""
        size = len(self._templates)
        id_P = np.full(len(self.parser.templates) + 1, size, dtype=np.int64)  # the last entry, index -1, is "no match"
        id_P[self._templates] = np.arange(size)
        return id_P[template_T]

    def _check(self) -> None:
        if not hasattr(self, "vocabulary_"):
            raise NotFitted("the feature pipeline is not fitted yet; call fit(events, windows) first")


def _sequences(id_M: Ints, offsets_W1: Ints) -> list[bytes]:
    """Each window's ids as bytes; equal sequences give equal bytes."""
    data = memoryview(id_M.astype("<i8").tobytes())
    return [bytes(data[start:end]) for start, end in pairwise((offsets_W1 * 8).tolist())]


def _fingerprint(sequence: bytes) -> str:
    return blake2b(sequence, digest_size=8).hexdigest()
