"""DeepLog with its second model: an event's numbers and its latency are expected, too.  Du et al., CCS 2017, doi:10.1145/3133956.3134015.

    last h events ───────────────────────────────► key model ──► rank of the true event ─────────────────────────┐
                                                                                                                 ├── max ──► event
    last p of the same type: log gap, numbers ──► LSTM of that type ──► expected ──► error outside its interval ─┘

The paper's parameter-value models, one for each event type, reconstructed from their description: no implementation has been published.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from scipy.special import log_ndtr, ndtri
from torch import Tensor, nn

from qlogad import seeds
from qlogad.arrays import Floats, Ints
from qlogad.bounds import Between, room
from qlogad.detect.batches import distinct, micro_batches
from qlogad.detect.detector import Detector, State
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.trained import Examples
from qlogad.features.features import Features, Labels
from qlogad.files import Array, check_arrays
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.train import train

__all__ = ["DeepLogParameters", "Regressors"]

SHORTEST = 1e-3  # shorter gaps, in seconds, count as this long
LEAST = 0.01  # smallest standard deviation of an error
FAR = 100.0  # inputs and targets of training are cut off at this many standard deviations
_OWN = "parameters."  # what the names of its arrays begin with


@dataclass(kw_only=True)
class DeepLogParameters(DeepLog, Detector):
    """`deeplog` and, for each event type, a model of its parameters: the log of the gap before it and the numbers in its message.

    An LSTM for each event type reads the parameters of the last p events of that type in the window and predicts the next ones, each in
    standard deviations from its mean in training. The error is the mean square over those that are known. Validation windows, those
    labelled normal if there are labels, or else the training windows, give the mean and the standard deviation of each type's error; types
    with fewer than two such events take those of all. An error is outside if it lies above the one-sided Gaussian `interval`.

    The event score is that of `deeplog` unless the error is outside. Then it is no less than K + 1 - z/d, d the error's distance from its
    mean in standard deviations and z the interval's end: above every known event, below one that is unseen. With score = "nll" it is no
    less than -log of the Gaussian tail beyond d (nats). Types that are unseen, and events without parameters, have the key model's score.

    The maps of the key model come from the core; the models of parameters are classical whatever the core.

    >>> many = {"values": [[["1"], ["9"]] * 4] * 20}  # numbers alternate
    >>> train = Features.from_sequences([[0, 0] * 4] * 20, **many, views=["values", "gaps"])
    >>> odd = [[["1"], ["9"]] * 2 + [["9"], ["9"]] + [["1"], ["9"]]]
    >>> test = Features.from_sequences([[0, 0] * 4] * 2, values=[many["values"][0], *odd], views=train.views)
    >>> detector = DeepLogParameters(epochs=60, history=2, lr=0.03).fit(train, validation=(train, None))
    >>> detector.predict(test).tolist()
    [0, 1]
    """

    core: Core = Classical()  # the core of the key model's cell; its `hidden` is the size of the state
    interval: Annotated[float, Between(0.5, 1, "both")] = 0.999  # share of a Gaussian below the largest error that is normal
    parameter_history: Annotated[int, Between(1, 1_000)] = 3  # p, the number of earlier events of a type that are read
    parameter_hidden: Annotated[int, Between(1, 1_000)] = 8  # hidden units for each event type

    reads: ClassVar[tuple[str, ...]] = ("ids", "values", "gaps")

    def _fit(self, features: Features, labels: Labels | None, validation: tuple[Features, Labels | None] | None) -> None:
        super()._fit(features, labels, validation)
        log_E, weight_E = _log_gaps(features), features.weight_N[features.row_E]
        self._gap_mean_V, self._gap_deviation_V = _moments(features.ids_E, log_E, weight_E, self.size_ + 1)
        self._gap_deviation_V = np.where(self._gap_deviation_V > 1e-9, self._gap_deviation_V, 1.0)
        self.regressors_ = self._regressors(1 + features.view("values").shape[1])
        held, weight_N = features, features.weight_N
        if validation is not None:
            held, known = validation
            weight_N = held.weight_N if known is None else held.weight_N * (known.window_N == 0)
        examples, checked = self._parameter_examples(features, features.weight_N), self._parameter_examples(held, weight_N)
        if len(examples):
            with seeds.torch_default(self.seed, "parameters", device=self.device):
                train(
                    self.regressors_,
                    examples.batch_loss,
                    len(examples),
                    validation=checked.mean_loss if validation is not None and len(checked) else None,
                    schedule=self,
                    seed=self.seed,
                )
        self.regressors_.eval()
        error_E = self._errors(held)
        self._error_mean_V, self._error_deviation_V = _moments(held.ids_E, error_E, weight_N[held.row_E], self.size_ + 1)
        self._error_deviation_V = np.maximum(self._error_deviation_V, LEAST)

    def event_score(self, features: Features) -> Floats:
        """The key model's score of each event, or that of its parameters if it is higher, (E,); NaN if neither scores it."""
        return np.fmax(super().event_score(features), self.parameter_score(features))

    def parameter_score(self, features: Features) -> Floats:
        """The score of each event's parameters, (E,); NaN if they are inside the interval, or there are none."""
        distance_E = (self._errors(features) - self._error_mean_V[features.ids_E]) / self._error_deviation_V[features.ids_E]
        end = float(ndtri(self.interval))
        outside_E = np.flatnonzero(distance_E > end)
        far_O = distance_E[outside_E]
        scores_E = np.full(len(distance_E), np.nan)
        scores_E[outside_E] = self.classes + 1 - end / far_O if self.score == "rank" else -log_ndtr(-far_O)
        return scores_E

    def expected(self, features: Features, event_A: Ints) -> list[list[int]]:
        """As of `deeplog`; empty where it is the parameters that were not expected."""
        key_E = np.nan_to_num(super().event_score(features), nan=-np.inf, posinf=np.inf)
        own_A = (self.parameter_score(features) > key_E)[event_A]
        return [[] if own else ids for own, ids in zip(own_A, super().expected(features, event_A), strict=True)]

    def weights(self) -> dict[str, int]:
        own = sum(parameter.numel() for parameter in self.regressors_.parameters())
        counted = super().weights()
        return counted | {kind: counted[kind] + own for kind in ("classical", "total")}

    def _regressors(self, width: int) -> Regressors:
        generator = seeds.torch_generator(self.seed, "parameters")
        return Regressors(self.size_, width, self.parameter_hidden, generator).to(self.device)

    def _parameters(self, features: Features) -> Floats:
        """Standardised log gap and numbers of each event, (E, D); NaN if unknown, or if its type is unseen."""
        gap_E = (_log_gaps(features) - self._gap_mean_V[features.ids_E]) / self._gap_deviation_V[features.ids_E]
        known_ED = np.column_stack([gap_E, features.view("values")])
        known_ED[features.ids_E >= features.size] = np.nan
        return known_ED

    def _inputs(self, features: Features, known_ED: Floats) -> Floats:
        """Event type, then the parameters of the last p events of that type, oldest first, each with a 1, or zeros, (E, 1 + p (D + 1))."""
        events, width = known_ED.shape
        steps, step = self.parameter_history, width + 1
        room(8.0 * events * (1 + steps * step), f"the parameters of {steps} events before each of {events:,}", "take fewer")
        series_E = features.row_E * (features.size + 1) + features.ids_E
        order_E = np.argsort(series_E, kind="stable")
        filled_ED = np.column_stack([np.clip(np.nan_to_num(known_ED), -FAR, FAR), np.ones(events)])[order_E]
        rows_EI = np.zeros((events, 1 + steps * step))
        rows_EI[:, 0] = features.ids_E[order_E]
        for back in range(1, min(steps, events - 1) + 1):
            same_E = np.flatnonzero(series_E[order_E][back:] == series_E[order_E][:-back])
            rows_EI[same_E + back, 1 + (steps - back) * step : 1 + (steps - back + 1) * step] = filled_ED[same_E]
        back_EI = np.empty_like(rows_EI)
        back_EI[order_E] = rows_EI
        return back_EI

    def _parameter_examples(self, features: Features, weight_N: Floats) -> Examples:
        known_ED, weight_E = self._parameters(features), weight_N[features.row_E]
        chosen_K = np.flatnonzero((~np.isnan(known_ED)).any(axis=1) & (weight_E > 0))
        target_KD = np.clip(np.nan_to_num(known_ED[chosen_K]), -FAR, FAR)
        parts = (self._inputs(features, known_ED)[chosen_K], target_KD, ~np.isnan(known_ED[chosen_K]))
        rows_UI, place_K = distinct(np.column_stack(parts).astype(np.float64))
        weight_U = np.bincount(place_K, weights=weight_E[chosen_K], minlength=len(rows_UI))
        tensors = [torch.from_numpy(array.astype(np.float32)).to(self.device) for array in (weight_U, rows_UI)]
        return Examples(tensors[0], partial(self._parameter_loss, *tensors))

    def _parameter_loss(self, weight_U: Tensor, rows_UI: Tensor, rows_B: Tensor) -> Tensor:
        inputs_BI, target_BD, known_BD = rows_UI[rows_B].tensor_split([-2 * self.regressors_.width, -self.regressors_.width], dim=1)
        square_BD = known_BD * (self.regressors_(inputs_BI) - target_BD) ** 2
        error_B: Tensor = square_BD.sum(dim=1) / known_BD.sum(dim=1)
        return (weight_U[rows_B] * error_B).sum()

    def _errors(self, features: Features) -> Floats:
        """The mean square error of each event's parameters, (E,); NaN if none is known."""
        known_ED = self._parameters(features)
        chosen_K = np.flatnonzero((~np.isnan(known_ED)).any(axis=1))
        rows_UI, place_K = distinct(self._inputs(features, known_ED)[chosen_K])
        expected_UD = np.empty((len(rows_UI), known_ED.shape[1]))
        for batch_SI, slots_B, rows_B in micro_batches(rows_UI, fill=0):
            with torch.no_grad():
                found_SD = self.regressors_(torch.from_numpy(batch_SI.astype(np.float32)).to(self.device))
            expected_UD[rows_B] = found_SD.double().cpu().numpy()[slots_B]
        errors_E = np.full(len(known_ED), np.nan)
        with np.errstate(over="ignore"):
            errors_E[chosen_K] = np.nanmean((known_ED[chosen_K] - expected_UD[place_K]) ** 2, axis=1) if len(chosen_K) else 0.0
        return errors_E

    def _state(self) -> State:
        weights = {name: value.detach().cpu().numpy() for name, value in self.regressors_.state_dict().items()}
        weights |= {name: getattr(self, f"_{name}") for name in _MOMENTS}
        return super()._state() | {f"{_OWN}{name}": value for name, value in weights.items()}

    def _restore(self, state: State) -> None:
        own = {name.removeprefix(_OWN): value for name, value in state.items() if name.startswith(_OWN)}
        width, hidden = 2 + max((slot.column for slot in self.views_["values"].slots), default=-1), self.parameter_hidden  # type: ignore[attr-defined]
        shapes = Regressors.shapes(self.size_, width, hidden)
        known = {name: Array("float32", shape) for name, shape in shapes.items()}
        known |= {name: Array("float64", (self.size_ + 1,), low=0 if "deviation" in name else -np.inf) for name in _MOMENTS}
        check_arrays(own, known)
        super()._restore({name: value for name, value in state.items() if not name.startswith(_OWN)})
        self.regressors_ = self._regressors(width)
        self.regressors_.load_state_dict({name: torch.from_numpy(own[name].copy()) for name in shapes})
        self.regressors_.eval()
        for name in _MOMENTS:
            setattr(self, f"_{name}", own[name])


_MOMENTS = ("gap_mean_V", "gap_deviation_V", "error_mean_V", "error_deviation_V")


class Regressors(nn.Module):
    """V LSTMs side by side, each with weights of its own: rows of an event type and p steps (N, 1 + p (D + 1)) -> (N, D).

    Args:
        size: V.
        width: D, the number of parameters.
        hidden: H, hidden units of each.
        generator: for the weights; the linear maps on top start at zero, which predicts the mean in training.
    """

    def __init__(self, size: int, width: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden
        shapes = self.shapes(size, width, hidden)
        start_VIF = (2 * torch.rand(shapes["weight_VIF"], generator=generator) - 1) * hidden**-0.5
        self.weight_VIF = nn.Parameter(start_VIF)
        self.bias_VF, self.head_VHD, self.mean_VD = (
            nn.Parameter(torch.zeros(shapes[name])) for name in ("bias_VF", "head_VHD", "mean_VD")
        )

    @staticmethod
    def shapes(size: int, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """The shapes of its weights."""
        return {
            "weight_VIF": (size, width + 1 + hidden, 4 * hidden),
            "bias_VF": (size, 4 * hidden),
            "head_VHD": (size, hidden, width),
            "mean_VD": (size, width),
        }

    def forward(self, rows_NI: Tensor) -> Tensor:
        event_N = rows_NI[:, 0].long()
        x_NTI = rows_NI[:, 1:].reshape(len(rows_NI), -1, self.width + 1)
        weight_NIF, bias_NF = self.weight_VIF[event_N], self.bias_VF[event_N]
        h_NH = c_NH = rows_NI.new_zeros(len(rows_NI), self.hidden)
        for x_NI in x_NTI.unbind(1):
            sum_NF = torch.bmm(torch.cat([x_NI, h_NH], dim=1)[:, None], weight_NIF)[:, 0] + bias_NF
            i_NH, f_NH, g_NH, o_NH = sum_NF.chunk(4, dim=1)
            c_NH = torch.sigmoid(f_NH) * c_NH + torch.sigmoid(i_NH) * torch.tanh(g_NH)
            h_NH = torch.sigmoid(o_NH) * torch.tanh(c_NH)
        return torch.bmm(h_NH[:, None], self.head_VHD[event_N])[:, 0] + self.mean_VD[event_N]


def _log_gaps(features: Features) -> Floats:
    """The natural logarithm of the gap in seconds before each event, (E,); NaN if unknown."""
    return np.log(np.maximum(features.view("gaps")[:, 0], SHORTEST))


def _moments(code_E: Ints, value_E: Floats, weight_E: Floats, size: int) -> tuple[Floats, Floats]:
    """Weighted mean and standard deviation of the known values of each code, (size,); those of all where fewer than two are known."""
    known_K = np.flatnonzero(np.isfinite(value_E) & (weight_E > 0))
    code_K, value_K, weight_K = code_E[known_K], value_E[known_K], weight_E[known_K]
    total = max(float(weight_K.sum()), np.finfo(np.float64).tiny)
    mean = float((weight_K * value_K).sum() / total)
    deviation = float(np.sqrt((weight_K * (value_K - mean) ** 2).sum() / total))
    total_V = np.bincount(code_K, weights=weight_K, minlength=size)
    enough_V = total_V >= 2
    total_V = np.maximum(total_V, 1.0)
    mean_V = np.where(enough_V, np.bincount(code_K, weights=weight_K * value_K, minlength=size) / total_V, mean)
    square_K = weight_K * (value_K - mean_V[code_K]) ** 2
    return mean_V, np.where(enough_V, np.sqrt(np.bincount(code_K, weights=square_K, minlength=size) / total_V), deviation)
