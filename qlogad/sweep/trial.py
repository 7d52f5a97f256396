"""One trial of a study: a point of the space becomes a contender, is filtered cheaply, trained on every fold, and measured.

    point ── design file ── circuit ──► seen before? ──► constraints ──► rungs ──► folds (cut x seed) ──► mean of each objective

Its seeds come from the study's seed, the trial's index and the fold. Points with equal circuits, up to commuting gates, and equal
other parameters are one trial: the result is that of the lowest index (results.py), even if several were trained at the same time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from qlogad import documents, seeds
from qlogad.backend.exact.planner import Speeds, use
from qlogad.circuit.canonical import canonical
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.design import Design
from qlogad.detect.detector import Detector
from qlogad.errors import DesignError, InputError, QlogadWarning
from qlogad.evaluate.coupling import unfit_for
from qlogad.experiment.experiment import Contender
from qlogad.experiment.fit_rule import fit
from qlogad.experiment.ground import Ground
from qlogad.jobs.attempts import index_of
from qlogad.nn.core.core import Encoded
from qlogad.nn.epochs import Epoch, History
from qlogad.report.convergence import Ended, ended
from qlogad.sweep.figures import attach
from qlogad.sweep.objectives import Fitted, circuit_of
from qlogad.sweep.space import Value
from qlogad.sweep.study import Rung, Study

__all__ = ["SpacePoint", "TrialJob", "ended_of", "note"]

_SAMPLES = 100  # random weights for a gradient variance
_PAIRS = 1000  # of states, for an expressibility


@dataclass(frozen=True)
class SpacePoint:
    """A point of the space as a contender with its circuit."""

    contender: Contender
    circuit: Circuit | None
    key: str  # equal keys: equal contenders, up to commuting gates


@dataclass(frozen=True)
class TrialJob:
    """The job of a worker for the trials of one contender; picklable.

    Args:
        study: the document.
        entrant: the contender's name.
        folder: the study's results folder, with grounds and designs.
        cuts: names of the grounds that trials are trained on.
        speeds: what the engine plans with.
        bars: the bar of each rung; empty while they are being measured.
    """

    study: Study
    entrant: str
    folder: str
    cuts: tuple[str, ...]
    speeds: Mapping[str, Speeds]
    bars: tuple[float, ...] = ()

    def __call__(self, trial: optuna.Trial) -> float | Sequence[float]:
        """Run a trial; returns its values, or raises `TrialPruned` with the cause in the attribute `pruned`."""
        try:
            return self._run(trial)
        except optuna.TrialPruned as pruned:
            trial.set_user_attr("pruned", str(pruned))
            raise

    def _run(self, trial: optuna.Trial) -> Sequence[float]:
        point = self.point(*self.study.entrant(self.entrant).space.suggest(trial))
        trial.set_user_attr("key", point.key)
        trial.set_user_attr("circuit", _facts(point.circuit))
        if point.circuit is not None:
            with suppress(OSError):  # a full disk loses the drawing, not the trial
                attach(trial, point.circuit, Path(self.folder) / "artifacts")
        for name, value in self.constraints(point.circuit).items():
            trial.set_constraint(name, value)
            if value > 0:
                raise optuna.TrialPruned(f"constraint: {name}, {value:g} too many")
        twin = self._equal(trial, point.key)
        if twin is not None:
            return self._reuse(trial, twin)
        for number, (rung, bar) in enumerate(zip(self.study.settings.rung, self.bars, strict=True), start=1):
            if rung.proxy != "loss" and point.circuit is not None:
                found = rung.sign * self.proxy(rung, point)
                trial.set_user_attr(f"rung {number}", rung.sign * found)
                if found > bar:
                    raise optuna.TrialPruned(
                        f"rung {number}: {rung.proxy} {rung.sign * found:.3g} is not among the best {rung.keep:.0%}"
                    )
        return self.measure(point, index_of(trial), trial, partial(note, trial))

    # ------------------------------------------------------------ points

    def point(self, chosen: Mapping[str, Value], ansatz: Mapping[str, Any] | None) -> SpacePoint:
        """The contender at a point of the space; a built design is written to its file.

        Raises:
            InputError: there is no such contender, for example because a design does not exist for this number of wires.
        """
        contender = self.study.entrant(self.entrant).at(chosen, None if ansatz is None else self._written(ansatz))
        detector = contender.build()
        detector.check()
        circuit = circuit_of(detector)
        return SpacePoint(contender, circuit, _key(detector, circuit, ordered=self._ordered))

    @property
    def _ordered(self) -> bool:
        """Whether an objective or a constraint depends on the order of commuting gates, as depths do."""
        settings = self.study.settings
        return bool({"depth", "device-seconds"} & set(settings.objectives)) or settings.constraints.two_qubit_depth is not None

    def _written(self, ansatz: Mapping[str, Any]) -> str:
        """Write the file of a built ansatz, named after its content; returns its path."""
        path = Path(self.folder) / "designs" / f"{documents.digest(ansatz)}.toml"
        design = Design.from_mapping(ansatz, "ansatz", name=path.stem)
        if not _stands(path, design):
            design.save(path, {"study": self.study.name})
        return str(path)

    def constraints(self, circuit: Circuit | None) -> dict[str, float]:
        """By how much each constraint is exceeded; at most 0 if it is met. A contender without a circuit meets all."""
        asked = self.study.settings.constraints
        found: dict[str, float] = {}
        if circuit is None:
            return found
        if asked.device is not None:
            found[f"pairs of wires on {asked.device}"] = unfit_for(circuit, asked.device)
        if asked.two_qubit_gates is not None:
            found["two-qubit gates"] = circuit.two_qubit_gates - asked.two_qubit_gates
        if asked.two_qubit_depth is not None:
            found["two-qubit depth"] = circuit.two_qubit_depth - asked.two_qubit_depth
        if asked.weights is not None:
            found["weights of the circuit"] = circuit.weights - asked.weights
        return found

    # ------------------------------------------------------------ equal trials

    def _equal(self, trial: optuna.Trial, key: str) -> FrozenTrial | None:
        """A trial with the same key whose result can be reused: one of a lower index, so the outcome does not depend on timing."""
        ended = [
            other
            for other in trial.study.get_trials(deepcopy=False)
            if other.state in (TrialState.COMPLETE, TrialState.PRUNED)
            and other.user_attrs.get("key") == key
            and index_of(other) < index_of(trial)
        ]
        return min(ended, key=index_of, default=None)

    def _reuse(self, trial: optuna.Trial, twin: FrozenTrial) -> Sequence[float]:
        trial.set_user_attr("reused from", index_of(twin))
        for name, value in twin.user_attrs.items():
            if name in ("weights", "folds", "trainings") or name.startswith("rung "):
                trial.set_user_attr(name, value)
        if twin.state == TrialState.PRUNED:
            raise optuna.TrialPruned(str(twin.user_attrs["pruned"]))
        return list(twin.values)

    # ------------------------------------------------------------ rungs

    def proxy(self, rung: Rung, point: SpacePoint) -> float:
        """The value of a rung's proxy; its random weights are seeded by the point's key.

        Raises:
            InputError: the point has no circuit.
        """
        if rung.proxy == "loss":
            return self._early_loss(point, rung.epochs)
        from qlogad.evaluate.circuits import expressibility, gradient_variance

        if point.circuit is None:
            raise InputError(f"contender '{self.entrant}' has no circuit for the proxy")
        random = seeds.generator(self.study.settings.seed, "proxy", rung.proxy, point.key)
        if rung.proxy == "expressibility":
            return expressibility(point.circuit, random, pairs=_PAIRS).value
        return float(gradient_variance(point.circuit, random, samples=_SAMPLES).mean()) if point.circuit.weights else 0.0

    def _early_loss(self, point: SpacePoint, epochs: int) -> float:
        short = replace(point, contender=replace(point.contender, params={**point.contender.params, "epochs": epochs}))
        detector, ground = short.contender.build(), self._ground(self.cuts[0], short.contender)
        losses: list[float] = []
        self._fit(
            detector, ground, seeds.derive(self.study.settings.seed, "bar", point.key), lambda epoch: losses.append(_held(epoch))
        )
        return losses[-1]

    # ------------------------------------------------------------ training

    def measure(
        self,
        point: SpacePoint,
        root: int,
        trial: optuna.Trial | None = None,
        told: Callable[[Sequence[History]], None] | None = None,
    ) -> Sequence[float]:
        """The mean of every objective over the folds; it depends on the point and the root only.

        Args:
            point: what to train.
            root: the index its seeds come from.
            trial: reported epochs and folds, and may be pruned.
            told: called after every fold with the histories of all trainings so far.
        """
        settings = self.study.settings
        if not any(one.trained for one in self.study.objectives):
            untrained = Fitted(point.contender.build(), self._ground(self.cuts[0], point.contender), settings.device or "")
            return [one.measure(untrained) for one in self.study.objectives]
        folds = [(cut, seed) for seed in range(settings.folds.seeds) for cut in self.cuts]
        values_FO: list[list[float]] = []
        histories: list[History] = []
        for number, (cut, repeat) in enumerate(folds):
            detector, ground = point.contender.build(), self._ground(cut, point.contender)
            seed = seeds.derive(settings.seed, "trial", root, "fold", cut, repeat)
            self._fit(detector, ground, seed, self._report(trial) if number == 0 and trial is not None else None)
            fitted = Fitted(detector, ground, settings.device or "")
            values_FO.append([one.measure(fitted) for one in self.study.objectives])
            histories += [history] if (history := getattr(detector, "history_", None)) is not None else []
            if told is not None:
                told(histories)
            if trial is not None:
                trial.set_user_attr("weights", detector.weights_["total"])
                trial.set_user_attr("folds", [list(values) for values in values_FO])
                if settings.pruner == "wilcoxon":
                    trial.report(values_FO[-1][0], step=number)
                    if number + 1 < len(folds) and trial.should_prune():
                        raise optuna.TrialPruned(f"wilcoxon: after {number + 1} of {len(folds)} folds it is behind the best")
        return [float(value) for value in np.mean(values_FO, axis=0)]

    def _report(self, trial: optuna.Trial) -> Callable[[Epoch], None] | None:
        """The callback after each epoch of the first fold, which may prune; pruning after the last epoch would save nothing."""
        by_epoch = self.study.settings.pruner in ("hyperband", "median")
        bars = [(rung, bar) for rung, bar in zip(self.study.settings.rung, self.bars, strict=True) if rung.proxy == "loss"]
        if not by_epoch and not bars:
            return None

        def report(epoch: Epoch) -> None:
            loss = _held(epoch)
            for rung, bar in bars:
                if epoch.number == rung.epochs and loss > bar:
                    raise optuna.TrialPruned(
                        f"rung: loss {loss:.3g} after {rung.epochs} epochs is not among the best {rung.keep:.0%}"
                    )
            if by_epoch:
                trial.report(loss, step=epoch.number)
                if trial.should_prune() and not epoch.last:  # called even after the last epoch, as Hyperband counts calls
                    raise optuna.TrialPruned(f"{self.study.settings.pruner}: after epoch {epoch.number}")

        return report

    def _fit(self, detector: Detector, ground: Ground, seed: int, report: Callable[[Epoch], None] | None) -> None:
        """Train on one fold, exactly as a run does: one thread, the study's speeds."""
        torch.set_num_threads(1)
        use(self.speeds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QlogadWarning)
            fit(detector, ground, training=self.study.base.data.training, seed=seed, report=report)

    def _ground(self, cut: str, contender: Contender) -> Ground:
        return _grounds(str(Path(self.folder) / "work"), cut, contender.reads)


def note(trial: optuna.Trial, histories: Sequence[History]) -> None:
    """Store in a trial how its trainings ended; `ended_of` reads it."""
    trial.set_user_attr("trainings", asdict(ended(histories)))


def ended_of(trial: FrozenTrial) -> Ended:
    """How the trainings of a trial ended; trials of earlier versions do not record it."""
    return Ended(**trial.user_attrs.get("trainings", {}))


def _stands(path: Path, design: Design) -> bool:
    """Whether a file holds a design, completely written."""
    try:
        return path.is_file() and Design.load(path, "ansatz") == design
    except DesignError:
        return False


@lru_cache(maxsize=8)
def _grounds(folder: str, cut: str, reads: tuple[str, ...]) -> Ground:
    return Ground.load(Path(folder), cut, reads)


def _held(epoch: Epoch) -> float:
    """The validation loss of an epoch, or its training loss if there is no validation."""
    return epoch.loss if epoch.validation is None else epoch.validation


def _facts(circuit: Circuit | None) -> dict[str, int]:
    if circuit is None:
        return {}
    return {
        "two-qubit gates": circuit.two_qubit_gates,
        "two-qubit depth": circuit.two_qubit_depth,
        "circuit weights": circuit.weights,
    }


_SHAPED = ("encoding", "ansatz", "wires", "depth", "reupload", "readout", "init", "entangling", "dephased", "matched")


def _key(detector: Detector, circuit: Circuit | None, *, ordered: bool) -> str:
    """A digest of everything a training depends on except the seed; circuits by their canonical form, unless `ordered`."""
    params = {name: value for name, value in detector.get_params(deep=False).items() if name != "seed"}
    if circuit is None:
        return documents.digest(type(detector).__qualname__, params)
    core = params.pop("core")
    encoding = asdict(core.encoding_on()[0].design) if isinstance(core, Encoded) else None
    outside = {name: value for name, value in documents.plain(core).items() if name not in _SHAPED}
    return documents.digest(
        type(detector).__qualname__,
        params,
        outside,
        (circuit if ordered else canonical(circuit)).digest(),
        encoding,
    )
