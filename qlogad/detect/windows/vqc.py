"""VQC: a supervised classifier of windows by their event counts, with a circuit that can encode the counts in every layer.

    counts ── scale ── linear ──► angles ── (encoding, layer) x depth ──► <Z> ── linear ──► logit        core = Quantum
    counts ── scale ── linear ──► tanh ───────────────────────────────────────── linear ──► logit        core = Classical

Data re-uploading: Perez-Salinas et al. (2020), arXiv:1907.02085; linear maps around a circuit: Mari et al. (2020), arXiv:1912.08278.
Each window takes one circuit and no recurrence, so the jobs for a device are known in advance.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from qlogad import seeds
from qlogad.arrays import Floats, Ints
from qlogad.circuit.encoding import Encoding
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector, State
from qlogad.detect.labelled import Labelled, Pairs
from qlogad.errors import DataError, DesignError, QlogadWarning, ResultError
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays
from qlogad.nn.core.core import Core, Encoded
from qlogad.nn.core.quantum import Quantum
from qlogad.nn.maps import GateLinear, Map
from qlogad.nn.network import CoreNetwork
from qlogad.nn.schedule import Epochs, LearningRate, Patience

__all__ = ["VQC", "Classifier"]

View = Literal["counts", "presence", "last"]
Feed = Literal["linear", "scaled", "direct"]


@dataclass(kw_only=True)
class VQC(Labelled, Detector):
    """A classifier of windows; the score is the logit of an anomaly: higher is more anomalous, 0 is even odds in the balanced loss.

    A window is represented by its `view`: `counts` of every event type; `presence`, 0 or 1 per event type; or `last`, the type of its
    last event ("unseen" for an empty window). Columns that do not vary over the training windows are dropped, including that of unseen
    events: use `new-event` alongside this detector. `feed` determines how a quantum core and its controls take the view:

    - `linear`: standardised, then mapped to the encoding's width by a trained linear map. Works with any encoding of real numbers.
    - `scaled`: no linear map; every feature is mapped from its training range to the encoding's range (from 0 up), or [0, pi] radians,
      and clipped to it. The wires must hold all features that vary.
    - `direct`: no linear map; values are used unchanged: counts and presence as angles in radians, presence as bits (encoding
      `basis`), the last event's id (`binary`, `table`). Counts that give the same angle are reported by a QlogadWarning.

    A classical core always standardises; it has one hidden layer of `hidden` tanh units (with `hidden = 1` it ranks windows like a
    logistic regression). The `hidden` of a quantum core is ignored: its readouts go directly into the logit.

    The loss is the binary cross-entropy over all windows with their multiplicities. Early stopping uses that of the validation windows
    if they have both labels; otherwise all epochs are run. After `fit`: `history_`, the training history; `executions`, the number of
    circuit runs by this object.

    >>> from qlogad.nn.core.classical import Classical
    >>> windows, labels = [[0], [1], [0, 1], []] * 10, [1, 1, 0, 0] * 10
    >>> detector = VQC(core=Classical(hidden=8)).fit(windows, labels)
    >>> (detector.score_samples([[0], [1], [0, 1], []]) > 0).tolist()
    [True, True, False, False]
    """

    core: Core = Quantum(wires=3, depth=3, reupload=True)
    view: View = "counts"  # the representation of a window
    feed: Feed = "linear"  # how a quantum core takes the view
    epochs: Epochs = 100  # the largest number of epochs
    lr: LearningRate = 0.02  # the optimizer's learning rate
    patience: Patience = 20  # epochs without a better validation loss before stopping

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts")
    supervised: ClassVar[bool] = True

    def check(self) -> None:
        self.core.check()
        if not self.core.code():  # do not run third-party code
            self.built(partial(self._classifier, width=1, size=1))

    def network(self, core: Core) -> Classifier:
        return self._classifier(core, self.width_, self.size_)

    def _classifier(self, core: Core, width: int, size: int) -> Classifier:
        """The network for `width` varying columns of the view of `size` (V) event types."""
        return Classifier(core, width, view=self.view, feed=self.feed, size=size, seed=self.seed)

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        assert labels is not None  # a supervised detector's labels have been checked
        pairs, held = Pairs.of(self._rows(features), features, labels), None
        if validation is not None and validation[1] is not None:
            held = Pairs.of(self._rows(validation[0]), validation[0], validation[1])
        columns_D = np.flatnonzero(np.ptp(pairs.rows_UX, axis=0))
        if len(columns_D) == 0:
            raise DataError(f"all training windows have the same {self.view}, so they cannot be distinguished; choose another view")
        self.width_ = len(columns_D)
        network = self.built(self.network)
        network.fit_scale(pairs.rows_UX, pairs.weight_U, columns_D)
        self._report_aliases(network, pairs.rows_UX)
        self.classify(network, pairs, held)

    def anomaly_score(self, features: Features) -> Floats:
        """The logit of each row, (N,)."""
        rows_NV, network = self._rows(features), self.network_
        assert isinstance(network, Classifier)
        if not network.ids:  # rows that differ where nothing is read are one row, and one circuit
            rows_NV[:, np.setdiff1d(np.arange(rows_NV.shape[1]), network.columns_D.cpu().numpy())] = 0
        rows_UV, place_N = distinct(rows_NV)
        scores_U = np.empty(len(rows_UV))
        for logits_S, slots_B, rows_B in self.outputs(rows_UV, fill=0):
            scores_U[rows_B] = logits_S.cpu().numpy()[slots_B]
        return scores_U[place_N]

    def _restore(self, state: State) -> None:
        columns = {"columns_D": Array("int64", ("columns",), low=0, high=self.size_)}
        check_arrays({name: state[name] for name in columns if name in state}, columns)
        self.width_, numbers = len(state["columns_D"]), sum(array.size for array in state.values())
        if self.core.linear and self.core.hidden * self.width_ > numbers:  # before allocating anything of this size
            raise ResultError(f"there are too few of them for {self.core.hidden} hidden units")
        super()._restore(state)

    def _rows(self, features: Features) -> Ints:
        """The view of every row, (N, V + 1)."""
        if self.view == "last":
            last_N = np.full(len(features), features.size)
            some_N = features.lengths_N > 0
            last_N[some_N] = features.ids_E[features.offsets_N1[1:][some_N] - 1]
            return np.asarray(np.eye(features.size + 1, dtype=np.int64)[last_N])
        counts_NV = features.view("counts").astype(np.int64)
        return counts_NV if self.view == "counts" else (counts_NV > 0).astype(np.int64)

    def _report_aliases(self, network: Classifier, rows_UV: Ints) -> None:
        core = network.core
        if isinstance(core, Encoded) and self.feed != "linear":
            with torch.no_grad():
                features_UD = network.features(torch.from_numpy(rows_UV).to(self.device)).cpu().double().numpy()
            found = core.aliases(features_UD, network.values)
            if found:
                warnings.warn(found, QlogadWarning, stacklevel=4)


class Classifier(CoreNetwork):
    """Scale, core and head: views (N, V + 1) of windows -> logits (N,).

    Args:
        core: the core of the network.
        width: D, the number of columns of the view that vary.
        view: the representation of windows.
        feed: how a quantum core or its control takes the view.
        size: V, the number of event types.
        seed: for the weights.

    Raises:
        DesignError: the core's encoding cannot take this view with this feed.
    """

    columns_D: Tensor
    scale_D: Tensor
    shift_D: Tensor

    def __init__(self, core: Core, width: int, *, view: View, feed: Feed, size: int, seed: int) -> None:
        feed = feed if isinstance(core, Encoded) else "linear"
        values = {"counts": None, "presence": 2, "last": size + 1}[view] if feed == "direct" else None
        super().__init__(core, values)
        self.feed = feed
        self.ids = view == "last" and feed == "direct"  # a single event id instead of one column per event type
        self.limits: tuple[float, float] | None = None
        if isinstance(core, Encoded) and feed != "linear":
            encoding, wires = core.encoding_on()
            _check_feed(encoding, view, feed)
            self.limits = _target(encoding, wires) if feed == "scaled" else None
        self.register_buffer("columns_D", torch.zeros(width, dtype=torch.int64))
        self.register_buffer("scale_D", torch.ones(width))
        self.register_buffer("shift_D", torch.zeros(width))
        generator = seeds.torch_generator(seed, "core")
        self.head: GateLinear | None = None
        if isinstance(core, Encoded) and feed != "linear":
            self.map: Map = core.direct(1 if self.ids else width, 1, 1, generator, values)
        elif core.linear:
            self.map = core.map(width, core.hidden, 1, generator)
            self.head = GateLinear(core.hidden, 1, 1, generator)
        else:
            self.map = core.map(width, 1, 1, generator)

    def fit_scale(self, rows_UV: Ints, weight_U: Floats, columns_D: Ints) -> None:
        """Determine the columns to read and their scaling from training rows and their multiplicities."""
        self.columns_D.copy_(torch.from_numpy(columns_D))
        x_UD = rows_UV[:, columns_D].astype(np.float64)
        scale_D, shift_D = np.ones(len(columns_D)), np.zeros(len(columns_D))
        if self.limits is not None:
            low_D, high_D = x_UD.min(axis=0), x_UD.max(axis=0)
            scale_D = (self.limits[1] - self.limits[0]) / (high_D - low_D)
            shift_D = self.limits[0] - scale_D * low_D
        elif self.feed == "linear":
            mean_D = np.average(x_UD, axis=0, weights=weight_U)
            scale_D = np.average((x_UD - mean_D) ** 2, axis=0, weights=weight_U) ** -0.5
            shift_D = -scale_D * mean_D
        self.scale_D.copy_(torch.from_numpy(scale_D))
        self.shift_D.copy_(torch.from_numpy(shift_D))

    def features(self, rows_NV: Tensor) -> Tensor:
        """The inputs of the core: features (N, D), or event ids (N, 1)."""
        if self.ids:
            return rows_NV.argmax(dim=1, keepdim=True).float()
        x_ND = torch.addcmul(self.shift_D, rows_NV[:, self.columns_D], self.scale_D)
        return x_ND if self.limits is None else x_ND.clamp(*self.limits)

    def forward(self, rows_NV: Tensor) -> Tensor:
        y_1NK = self.map(self.features(rows_NV))
        logits_1N1: Tensor = y_1NK if self.head is None else self.head(torch.tanh(y_1NK))
        return logits_1N1[0, :, 0]


def _target(encoding: Encoding, wires: int) -> tuple[float, float]:
    """The target range of the feed `scaled`: the encoding's range from 0 up (a Chebyshev encoding is even), else [0, pi]."""
    low, high = encoding.limits(wires) or (0.0, math.pi)
    return (0.0, high) if low < 0 < high else (low, high)


def _check_feed(encoding: Encoding, view: View, feed: Feed) -> None:
    """Check that an encoding can take a view without a linear map before it."""
    takes, name = encoding.design.takes, encoding.design.name
    if encoding.design.prepare:
        raise DesignError(f"encoding '{name}' has no state for a window without events; use feed = 'linear'")
    if takes.integer and (feed == "scaled" or view == "counts"):
        raise DesignError(f"encoding '{name}' takes integers in a range; use feed = 'direct' with view = 'presence' or 'last'")
    if not takes.integer and view == "last":
        raise DesignError(f"encoding '{name}' takes real numbers, not an event id; use 'binary' or 'table', or feed = 'linear'")
    if feed == "direct" and view == "counts" and takes.range is not None:
        raise DesignError(f"encoding '{name}' takes a limited range, but counts are unbounded; use feed = 'scaled'")
