"""Autoencoder: a window is anomalous if its event counts cannot be reconstructed from a few numbers.

    counts ── standardise ── encoder(core) ──► code ── decoder(core) ──► counts again;  score: squared error

Farzad & Gulliver, ICT Express 2020, doi:10.1016/j.icte.2020.06.003. Both maps come from the core, which is classical, quantum or a
control; the code has the core's `hidden` numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from qlogad import seeds
from qlogad.arrays import Floats
from qlogad.detect.batches import distinct
from qlogad.detect.detector import Detector, State
from qlogad.detect.parts.rows import WindowView, blocks, score_rows, training_rows
from qlogad.detect.trained import Examples, Trained
from qlogad.errors import ResultError
from qlogad.features.features import Features, Labels
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.network import CoreNetwork
from qlogad.nn.schedule import Epochs, LearningRate, Patience

__all__ = ["Autoencoder", "AutoencoderNetwork"]


@dataclass(kw_only=True)
class Autoencoder(Trained, Detector):
    """The score is the squared reconstruction error, >= 0: the sum over event types, in training standard deviations.

    Columns that do not vary over the training windows, such as that of unseen events, are not encoded; their error is the squared
    distance from the training value. With a classical core, a tanh follows the encoder; a `hidden` below the number of event types makes
    the code a bottleneck.

    Early stopping uses the validation windows or, if they have labels, the normal ones. After `fit`: `history_`, the training history;
    `executions`, the number of circuit runs by this object.

    >>> detector = Autoencoder(core=Classical(hidden=1), epochs=100).fit([[0, 1] * n for n in range(1, 9)])
    >>> normal, odd = detector.score_samples([[0, 1] * 3, [0] * 6 + [1]])
    >>> bool(normal < 0.1 < 1 < odd)
    True
    """

    core: Core = Classical(hidden=4)  # of the encoder and the decoder; its `hidden` is the size of the code
    view: WindowView = "counts"  # raw counts, or weighted by TF-IDF
    epochs: Epochs = 200  # the largest number of epochs
    lr: LearningRate = 0.02  # the optimizer's learning rate
    patience: Patience = 20  # epochs without a better validation loss before stopping

    reads: ClassVar[tuple[str, ...]] = ("ids", "counts", "tf-idf")

    def network(self, core: Core) -> AutoencoderNetwork:
        return AutoencoderNetwork(core, self.size_ + 1, self.seed)

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        rows_UD, weight_U = training_rows(features, self.view)
        network = self.built(self.network)
        network.fit_scale(rows_UD, weight_U)
        held = None
        if validation is not None:
            part, known = validation
            normal_N = np.arange(len(part)) if known is None else np.flatnonzero(known.window_N == 0)
            held = self._examples(*training_rows(part.take(normal_N), self.view)) if len(normal_N) else None
        self.learn(network, self._examples(rows_UD, weight_U), held)

    def _examples(self, rows_UD: Floats, weight_U: Floats) -> Examples:
        row_UD, times_U = (torch.from_numpy(array.astype(np.float32)).to(self.device) for array in (rows_UD, weight_U))
        return Examples(times_U, lambda rows_B: (self.network_(row_UD[rows_B]).sum(dim=1) * times_U[rows_B]).sum())

    def _errors(self, rows_UD: Floats) -> Floats:
        """The squared error of every column, (U, D)."""
        errors_UD = np.empty(rows_UD.shape)
        for errors_SD, slots_B, rows_B in self.outputs(rows_UD.astype(np.float32), fill=0):
            errors_UD[rows_B] = errors_SD.cpu().numpy()[slots_B]
        return errors_UD

    def anomaly_score(self, features: Features) -> Floats:
        """The squared error of each row, (N,)."""
        return score_rows(features, self.view, lambda rows_UD: self._errors(rows_UD).sum(axis=1))

    def event_score(self, features: Features) -> Floats:
        """The squared error of the count of each event's type in its row, (E,); event types missing in a row have no event to blame."""
        score_E = np.empty(len(features.ids_E))
        for rows_B, block_BD in blocks(features, self.view):
            rows_UD, place_B = distinct(block_BD)
            first, last = features.offsets_N1[rows_B[0]], features.offsets_N1[rows_B[-1] + 1]
            row_E = np.repeat(place_B, features.lengths_N[rows_B])
            score_E[first:last] = self._errors(rows_UD)[row_E, features.ids_E[first:last]]
        return score_E

    def _restore(self, state: State) -> None:
        numbers = sum(array.size for array in state.values())
        if self.core.linear and 2 * self.core.hidden > numbers:  # before allocating anything of this size
            raise ResultError(f"there are too few of them for {self.core.hidden} hidden units")
        super()._restore(state)


class AutoencoderNetwork(CoreNetwork):
    """Scale, encoder and decoder: rows of a view (N, D) -> squared errors (N, D).

    Args:
        core: makes the maps.
        width: D, the number of columns.
        seed: for the weights.
    """

    mean_D: Tensor
    scale_D: Tensor  # 1 / standard deviation
    varies_D: Tensor  # 1 for columns that vary over the training rows, 0 for others

    def __init__(self, core: Core, width: int, seed: int) -> None:
        super().__init__(core)
        self.register_buffer("mean_D", torch.zeros(width))
        self.register_buffer("scale_D", torch.ones(width))
        self.register_buffer("varies_D", torch.ones(width))
        self.encoder = core.map(width, core.hidden, 1, seeds.torch_generator(seed, "encoder"))
        self.decoder = core.map(core.hidden, width, 1, seeds.torch_generator(seed, "decoder"))

    def fit_scale(self, rows_UD: Floats, weight_U: Floats) -> None:
        """Determine mean, scale and varying columns from training rows and their multiplicities."""
        mean_D = np.average(rows_UD, axis=0, weights=weight_U)
        varies_D = np.ptp(rows_UD, axis=0) > 0
        variance_D = np.average((rows_UD - mean_D) ** 2, axis=0, weights=weight_U)
        scale_D = np.where(varies_D, variance_D, 1.0) ** -0.5
        for own_D, found_D in ((self.mean_D, mean_D), (self.scale_D, scale_D), (self.varies_D, varies_D)):
            own_D.copy_(torch.from_numpy(found_D.astype(np.float32)))

    def forward(self, rows_ND: Tensor) -> Tensor:
        x_ND = (rows_ND - self.mean_D) * self.scale_D
        code_NH = self.encoder(x_ND * self.varies_D)[0]
        code_NH = torch.tanh(code_NH) if self.core.linear else code_NH
        again_ND = self.decoder(code_NH)[0] * self.varies_D
        return torch.square(x_ND - again_ND)
