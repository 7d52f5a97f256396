"""A study as a document: the contenders of an experiment to search, the space, the validation objectives and the budget.

    base = "quickstart"                              an experiment: a shipped one, or a file beside this one
    objectives = ["validation-loss"]                 several: a Pareto front
    sampler = "tpe"
    trials = 100                                     per contender, like `seconds`
    [space]                                          shared by all contenders
    lr = { float = [1e-3, 1e-1], log = true }
    [[contender]]
    name = "quantum"
    space = { "core.depth" = { int = [1, 4] } }      of this contender only; or `design`, an ansatz row by row
    known = [{ "core.depth" = 1 }]                   tried first; then `warm = ["results/other-sweep"]`, the best of related studies

Choices are made on validation windows of the experiment's first cut, or of earlier cuts, so that they never depend on a window that is
tested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import islice
from os.path import isfile
from pathlib import Path
from typing import Annotated, Any, Literal

from qlogad import documents, names
from qlogad.bounds import Between, Seed, Share
from qlogad.detect.detector import Track
from qlogad.documents import refuse_secrets
from qlogad.errors import DocumentError, QlogadError, UnknownName, did_you_mean, one_line, shown
from qlogad.evaluate.coupling import check_device
from qlogad.experiment.experiment import Contender, Experiment, found_beside, names_design
from qlogad.logs.inject import parse_spec
from qlogad.sweep.objectives import Direction, Objective, circuit_of, objective
from qlogad.sweep.space import ChoiceAxis, Space, Value, space
from qlogad.sweep.warm_start import relatives

__all__ = ["Constraints", "Entrant", "Folds", "Rung", "Settings", "Study"]

Sampler = Literal["tpe", "nsga2", "nsga3", "cma-es", "gp", "random", "grid", "qmc"]
Pruner = Literal["none", "hyperband", "median", "wilcoxon"]
FORETOLD = ("random", "grid", "qmc")  # samplers whose proposals do not depend on results
MAX_TRIALS = 100_000
_NAME = 80  # characters
_FIXED = ("seed", "threshold", "fpr", "device")  # keys that cannot be searched


@dataclass(frozen=True)
class Folds:
    """The trainings of each trial; its value is their mean."""

    seeds: Annotated[int, Between(1, 1_000)] = 1
    cuts: tuple[Share, ...] = ()  # positions in time, none later than the experiment's first cut; empty: that cut

    def __post_init__(self) -> None:
        documents.enforce(self)


@dataclass(frozen=True)
class Rung:
    """A cheap filter before training: a trial continues if it is among the best share `keep` of random points of the space.

    The bar is measured once, before the first trial, so whether a trial passes does not depend on other trials.
    """

    proxy: Literal["gradient-variance", "expressibility", "loss"]
    keep: Share = 0.5
    sample: Annotated[int, Between(2, 10_000)] = 16  # random points to measure the bar on
    epochs: Annotated[int, Between(1, 100_000)] = (
        2  # for the proxy "loss": the validation loss after this many epochs of the first fold
    )

    def __post_init__(self) -> None:
        documents.enforce(self)

    @property
    def sign(self) -> int:
        """1 if less is better, -1 if more is better."""
        return -1 if self.proxy == "gradient-variance" else 1


@dataclass(frozen=True)
class Constraints:
    """Conditions that a circuit must meet to be trained."""

    device: str | None = None  # such as "ibm:fake_torino": two-qubit gates must fit its coupling map without swaps
    two_qubit_gates: Annotated[int, Between(0, 10**9)] | None = None
    two_qubit_depth: Annotated[int, Between(0, 10**9)] | None = None  # the longest chain of gates on two wires
    weights: Annotated[int, Between(0, 10**9)] | None = None  # of one circuit

    def __post_init__(self) -> None:
        documents.enforce(self)

    def __str__(self) -> str:
        limits = [f"{name.replace('_', '-')} at most {most}" for name, most in vars(self).items() if isinstance(most, int)]
        return ", ".join([*([f"fits {self.device} without swaps"] if self.device else []), *limits])


@dataclass(frozen=True)
class Settings:
    """A study's keys that are validated by their types."""

    objectives: tuple[str, ...]
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    trials: Annotated[int, Between(1, MAX_TRIALS)] | None = None  # per contender; None: all points of a grid
    seconds: Annotated[float, Between(0, 1e9, "low")] | None = None  # wall clock time per contender
    seed: Seed = 0
    inject: str = "swap:3"  # for the objective injected-average-precision
    device: str | None = None  # for the objective device-seconds
    warm: tuple[str, ...] = ()  # results folders of earlier studies, whose best points are tried first
    warm_share: Annotated[float, Between(0, 1, "low")] = 0.25  # the largest share of trials that start from those
    folds: Folds = field(default_factory=Folds)
    rung: tuple[Rung, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)

    def __post_init__(self) -> None:
        documents.enforce(self)
        parse_spec(self.inject)
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise DocumentError(f"objectives must list one or more different names, got {list(self.objectives)}")
        if self.warm and self.sampler == "grid":
            raise DocumentError("warm has no effect if a grid tries every point; remove it, or use another sampler")
        if self.trials is None and self.sampler != "grid":
            raise DocumentError(
                f"trials is missing: set a number, or sampler = 'grid' to try all points; got sampler = '{self.sampler}'"
            )


@dataclass(frozen=True)
class Entrant:
    """A contender with its search space."""

    contender: Contender
    space: Space
    known: tuple[Mapping[str, Value], ...] = ()  # points tried first; axes without a value are sampled
    warm: tuple[Mapping[str, Value], ...] = ()  # points from earlier studies, tried next
    relatives: str = ""  # a digest of all points of earlier studies, of which `warm` holds the first
    folder: Path | None = None  # of the study's file, where circuit files among its choices may be

    @property
    def first(self) -> tuple[Mapping[str, Value], ...]:
        """All points tried before the sampler's own."""
        return (*self.known, *(point for point in self.warm if point not in self.known))

    @property
    def name(self) -> str:
        """The contender's name."""
        return self.contender.name

    def at(self, chosen: Mapping[str, Value], ansatz: str | None = None) -> Contender:
        """The contender with its keys set, and its ansatz if the space builds one."""
        params: Mapping[str, Any] = self.contender.params
        for key, value in {**chosen, **({} if ansatz is None else {"core.ansatz": ansatz})}.items():
            if self.folder is not None and names_design(key):
                value = found_beside(self.folder, value)
            params = documents.override_value(params, key, value)
        return replace(self.contender, params=params)


@dataclass(frozen=True)
class Study:
    """A search with everything needed to repeat it."""

    name: str
    question: str
    base: Experiment
    entrants: tuple[Entrant, ...]
    settings: Settings
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Study:
        """Read a study file, or a shipped one by name, with dotted overrides `a.b=c` applied.

        Raises:
            DocumentError: with the file, the key, and what would fit.
        """
        path, shipped = Path(path), names.documents("study")
        name = path.name.removesuffix(".toml").removesuffix(".sweep")
        if not isfile(path):
            path = shipped.get(name, path)
        if not isfile(path):
            hint = did_you_mean(name, shipped)
            raise DocumentError(f"there is no study file {shown(str(path), 100)}{hint}; shipped: {', '.join(shipped) or 'none'}")
        content = documents.read(path)
        for assignment in overrides:
            content = documents.override(content, assignment)
        return cls.from_document(content, name=f"{name}-sweep", where=str(path), folder=path.parent)

    @classmethod
    def from_document(
        cls, content: Mapping[str, Any], *, name: str = "sweep", where: str = "study", folder: Path | None = None
    ) -> Study:
        """A study from a table as TOML gives it; its base is looked up in `folder` too."""
        refuse_secrets(content, where)
        documents.refuse_objects({key: value for key, value in content.items() if key != "base"}, where)
        own = set(Settings.__dataclass_fields__)
        known = {"name", "question", "base", "space", "contender", *own}
        if "data" in content and "base" not in content:
            raise DocumentError(f"{where}: this is an experiment, not a study; run it: qlogad run {where}")
        for key in content:
            if key not in known:
                raise DocumentError(
                    f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(sorted(known))}"
                )
        given = str(content.get("name", name))
        if not given or given.startswith(".") or set(given) & set("/\\\0") or given != one_line(given, _NAME):
            raise DocumentError(
                f"{where}: name = {shown(given)} cannot be the name of a folder; use one line of at most {_NAME} characters"
            )
        if "base" not in content:
            raise DocumentError(f"{where}: there is no base; name an experiment, for example base = 'quickstart'")
        base = _base(content["base"], folder, where)
        settings = documents.from_mapping(Settings, {key: value for key, value in content.items() if key in own}, where)
        study = cls(
            name=given,
            question=" ".join(str(content.get("question", "")).split()),
            base=base,
            entrants=tuple(_warmed(entrant, settings) for entrant in _entrants(content, base, folder, where)),
            settings=settings,
            document=content,
        )
        if given == base.name:
            raise DocumentError(
                f"{where}: the study has the same name as its experiment, and both write to results/{given}; give it another name"
            )
        study._check(where)
        return study

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives to optimize."""
        return tuple(objective(name) for name in self.settings.objectives)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The direction of each objective."""
        return tuple(one.direction for one in self.objectives)

    @property
    def cuts(self) -> tuple[float, ...]:
        """The cuts that trials are trained on."""
        return tuple(sorted(self.settings.folds.cuts)) or (min(self.base.data.split.cuts),)

    def track(self, entrant: Entrant) -> Track:
        """What data the search may use; a labelled objective moves a contender to a labelled track."""
        track = entrant.contender.track(self.base.data.training)
        labelled = any(one.labelled for one in self.objectives)
        return "normal-only, labelled validation" if labelled and track != "supervised" else track

    def entrant(self, name: str) -> Entrant:
        """Look up a contender by name."""
        return next(one for one in self.entrants if one.name == name)

    def identity(self) -> str:
        """A digest of everything in the document that trial values depend on; trials, seconds and question may change."""
        own = {key: value for key, value in self.document.items() if key not in ("name", "question", "trials", "seconds", "base")}
        warm = [one.relatives for one in self.entrants if one.relatives]
        return documents.digest(own, self.base.data, [documents.plain(one.contender) for one in self.entrants], self.cuts, *warm)

    def _check(self, where: str) -> None:
        settings = self.settings
        objectives = self.objectives
        if settings.pruner != "none" and len(objectives) > 1:
            raise DocumentError(
                f"{where}: pruner = '{settings.pruner}' compares one number, not {len(objectives)} objectives; set pruner = 'none'"
            )
        if settings.pruner in ("hyperband", "median") and settings.objectives != ("validation-loss",):
            raise DocumentError(
                f"{where}: pruner = '{settings.pruner}' uses the validation loss of every epoch, so the objective must be "
                "validation-loss; use 'wilcoxon' or 'none'"
            )
        folds = len(self.cuts) * settings.folds.seeds
        if settings.pruner == "wilcoxon" and folds < 3:
            raise DocumentError(
                f"{where}: pruner = 'wilcoxon' compares trials fold by fold and needs 3 or more, got {folds}; set folds = {{ seeds = 5 }}"
            )
        if settings.sampler == "cma-es" and len(objectives) > 1:
            raise DocumentError(f"{where}: sampler = 'cma-es' needs one objective, got {len(objectives)}; use 'tpe' or 'nsga2'")
        if settings.sampler == "cma-es" and settings.constraints != Constraints():
            raise DocumentError(f"{where}: sampler = 'cma-es' ignores constraints; remove them, or use 'tpe'")
        if "device-seconds" in settings.objectives and settings.device is None:
            raise DocumentError(f"{where}: the objective device-seconds needs a device; set device = 'ibm:fake_torino'")
        for device, coupled in ((settings.constraints.device, True), (settings.device, False)):
            if device is not None:
                check_device(device, where, coupled=coupled)
        first = min(self.base.data.split.cuts)
        if settings.folds.cuts and self.base.data.split.by == "given":
            raise DocumentError(f"{where}: folds.cuts has no effect on a data set with given train and test parts; remove it")
        for cut in self.cuts:
            if not 0 < cut <= first:
                raise DocumentError(
                    f"{where}: folds.cuts has {cut}, but the experiment tests windows after {first}; use cuts up to {first}"
                )
        for entrant in self.entrants:
            self._check_entrant(entrant, f"{where}: contender '{entrant.name}'")

    def _check_entrant(self, entrant: Entrant, where: str) -> None:
        if self.settings.sampler == "grid" and entrant.space.endless():
            raise DocumentError(
                f"{where}: sampler = 'grid' tries every value, and {shown(entrant.space.endless())} has infinitely many; "
                "give it a step, or a choice"
            )
        if self.settings.sampler == "grid" and sum(1 for _ in islice(entrant.space.points(), MAX_TRIALS + 1)) > MAX_TRIALS:
            raise DocumentError(
                f"{where}: its grid has more than {MAX_TRIALS:,} points; narrow the space, or set sampler = 'random' or 'qmc' and trials"
            )
        if self.settings.sampler == "cma-es" and entrant.space.uneven():
            raise DocumentError(
                f"{where}: sampler = 'cma-es' needs numeric axes in every trial, and {shown(entrant.space.uneven())} is not; use 'tpe'"
            )
        detector = entrant.at(entrant.space.first({}), None).build()
        for key, axis in entrant.space.axes.items():
            for value in axis.choice if isinstance(axis, ChoiceAxis) else ():
                if isinstance(value, str):  # perhaps a name; an unknown name is reported before the first trial
                    try:
                        circuit_of(entrant.at(entrant.space.first({key: value}), None).build())
                    except UnknownName as error:
                        raise DocumentError(f"{where}: {error}") from error
                    except QlogadError:  # it may work with other values; if not, its trials report the reason
                        continue
        core = detector.get_params(deep=False).get("core")
        takes = is_dataclass(core) and any(key.name == "ansatz" for key in fields(core))
        if entrant.space.design is not None and not takes:
            raise DocumentError(
                f"{where}: `design` is an ansatz, and its core takes none; choose a contender with core.kind = 'quantum'"
            )
        needs_epochs = [
            *(name for name in self.settings.objectives if name == "validation-loss"),
            *(f"rung {rung.proxy}" for rung in self.settings.rung if rung.proxy == "loss"),
        ]
        if needs_epochs and "epochs" not in detector.get_params(deep=False):
            raise DocumentError(
                f"{where}: '{entrant.contender.detector}' does not train in epochs, so it has no validation loss; "
                f"use an objective other than {needs_epochs[0]}"
            )
        if detector.supervised and self.base.data.training == "normals":
            raise DocumentError(f"{where}: it learns from labelled anomalies; the base needs training = 'all'")


def _base(given: Any, folder: Path | None, where: str) -> Experiment:
    if not isinstance(given, str) or not given:
        raise DocumentError(f"{where}: base must name an experiment, got {shown(given)}")
    beside = None if folder is None else folder / given
    shipped = Path(given).name.removesuffix(".toml") in names.documents("experiment")
    if given.endswith(".toml") and beside is not None and not isfile(beside) and not isfile(given) and not shipped:
        raise DocumentError(
            f"{where}: there is no base {shown(str(beside), 100)}, nor {shown(given)} in the current folder; name an experiment file"
        )
    return Experiment.load(beside if beside is not None and isfile(beside) else given)


def _entrants(content: Mapping[str, Any], base: Experiment, folder: Path | None, where: str) -> tuple[Entrant, ...]:
    tables = content.get("contender")
    if not isinstance(tables, list) or not tables:
        raise DocumentError(
            f"{where}: there is no [[contender]]; name at least one of the experiment's: {', '.join(c.name for c in base.contenders)}"
        )
    shared = _table(content.get("space", {}), f"{where}: space")
    there = {contender.name: contender for contender in base.contenders}
    found: dict[str, Entrant] = {}
    for table in tables:
        name = _table(table, f"{where}: [[contender]]").get("name")
        if not isinstance(name, str) or name not in there:
            raise DocumentError(
                f"{where}: the experiment has no contender {shown(name)}{did_you_mean(str(name), there)}; it has: {', '.join(there)}"
            )
        here = f"{where}: contender '{name}'"
        if name in found:
            raise DocumentError(f"{here} is listed twice")
        for key in table:
            keys = ("name", "space", "design", "known")
            if key not in keys:
                raise DocumentError(f"{here}: unknown key {shown(key)}{did_you_mean(key, keys)}; known: {', '.join(keys)}")
        own = _table(table.get("space", {}), f"{here}: space")
        for key in own:
            if key in shared:
                raise DocumentError(
                    f"{here}: {shown(key)} is in the shared space too, which is equal for all contenders; remove one"
                )
        axes = {**shared, **own}
        for key in axes:
            if key.split(".")[0] in _FIXED:
                raise DocumentError(
                    f"{here}: '{key.split('.')[0]}' cannot be searched: trials have seeds of their own, "
                    "and threshold rules are fixed"
                )
        if not axes and "design" not in table:
            raise DocumentError(f"{here}: its space is empty; add [space] or `design`")
        searched = space(axes, table.get("design"), here)
        known = table.get("known", [])
        if not isinstance(known, list):
            raise DocumentError(f"{here}: known must be a list of tables such as {{ 'core.depth' = 1 }}, got {shown(known)}")
        points = tuple(searched.assignment(_table(point, f"{here}: known"), f"{here}: known") for point in known)
        found[name] = Entrant(there[name], searched, points, folder=folder)
    return tuple(found.values())


def _warmed(entrant: Entrant, settings: Settings) -> Entrant:
    """Add the best points of related studies, if the study names any."""
    if not settings.warm or settings.trials is None:
        return entrant
    aim, count = objective(settings.objectives[0]), math.floor(settings.warm_share * settings.trials)
    found = relatives(entrant.space, entrant.name, settings.warm, aim, MAX_TRIALS)
    return replace(entrant, warm=found[:count], relatives=documents.digest(found))


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where} must be a table, got {shown(value)}")
    return value
