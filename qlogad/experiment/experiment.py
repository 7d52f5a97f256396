"""An experiment as a document: a question, the data, contenders on the same features, and how they are evaluated.

`like` copies another contender's keys; `preset` stands for keys that the detector names together; `control` replaces its quantum core by
one of the controls of qlogad.nn.controls; `[grid]` makes contenders (grid.py). All are resolved when the document is loaded, so a manifest
holds exactly what ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from os.path import isdir, isfile
from pathlib import Path
from typing import Annotated, Any

from qlogad import documents, names
from qlogad.bounds import Between, Share
from qlogad.circuit.design import ROLES, Design
from qlogad.detect.detector import Detector, Track
from qlogad.documents import refuse_secrets
from qlogad.errors import BackendError, DocumentError, InputError, did_you_mean, one_line, shown
from qlogad.evaluate.metrics import Compared
from qlogad.experiment.data import Data, Training, data_of
from qlogad.experiment.fit_rule import track
from qlogad.experiment.grid import Axes, combinations, grids_of, made_name, nested

__all__ = ["Contender", "Experiment", "Judge", "found_beside", "located", "names_design"]

_NAME = 80  # characters
_OURS = ("name", "like", "detector", "preset", "control")  # keys of a [[contender]] that are not parameters of its detector
MAX_SEEDS, MAX_RESAMPLES = 1000, 1_000_000


@dataclass(frozen=True)
class Contender:
    """One row of the table: a detector with its parameters."""

    name: str
    detector: str
    params: Mapping[str, Any]
    like: str | None = None
    control: str | None = None
    grid: Mapping[str, Any] | None = None  # dotted key -> value, if a grid made the contender

    def build(self) -> Detector:
        """Build the unfitted detector.

        Raises:
            UnknownName: there is no such detector or control.
            DocumentError: an unknown key, or a value that does not fit.
        """
        cls = names.find("detector", self.detector)
        detector: Detector = documents.from_mapping(cls, self.params, f"contender '{self.name}'")
        if self.control is None:
            return detector
        from qlogad.nn.controls.control import control

        core = getattr(detector, "core", None)
        if core is None:
            raise DocumentError(
                f"contender '{self.name}': a control needs a detector with a quantum core, '{self.detector}' has none"
            )
        controlled: Detector = detector.set_params(core=control(self.control, core))
        return controlled

    @property
    def reads(self) -> tuple[str, ...]:
        """The views read by its detector."""
        found: tuple[str, ...] = names.find("detector", self.detector).reads
        return found

    def track(self, training: Training) -> Track:
        """What data the contender may learn from; a table, a ranking and a test compare contenders of one track only."""
        return track(self.build(), training)


@dataclass(frozen=True)
class Judge:
    """How contenders are evaluated, fixed before training."""

    seeds: Annotated[int, Between(1, MAX_SEEDS)] = 5
    contrasts: tuple[tuple[str, str], ...] = ()  # the declared family, at most five; all other comparisons are exploratory
    metric: Compared = "f1"  # what the contrasts compare
    alpha: Share = 0.05
    power: Share = 0.8
    resamples: Annotated[int, Between(1, MAX_RESAMPLES)] = 1000

    def __post_init__(self) -> None:
        documents.enforce(self)
        if len(self.contrasts) > 5:
            raise DocumentError(f"at most five contrasts can be declared, got {len(self.contrasts)}")


@dataclass(frozen=True)
class Experiment:
    """A question, with everything needed to answer it reproducibly."""

    name: str
    question: str
    data: Data
    contenders: tuple[Contender, ...]
    judge: Judge
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # as written, with overrides applied

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
        """Read an experiment file, or a shipped one by name, with dotted overrides `a.b=c` applied.

        Raises:
            DocumentError: with the file, the key, and what would fit.
        """
        path = Path(path)
        shipped = names.documents("experiment")
        name = path.name.removesuffix(".toml")
        if not isfile(path):
            path = shipped.get(name, path)
        if isdir(path):
            inside_it = [file.name for file in sorted(path.glob("*.toml"))]
            inside = f"it holds: {one_line(', '.join(inside_it), 200)}" if inside_it else "it holds no .toml file"
            raise DocumentError(f"{shown(str(path), 100)} is a folder, not an experiment file; {inside}")
        if not isfile(path):
            hint = did_you_mean(name, shipped)
            raise DocumentError(f"there is no experiment file {shown(str(path), 100)}{hint}; shipped: {', '.join(shipped)}")
        content = _with_grids(documents.read(path))
        for assignment in overrides:
            content = documents.override(content, assignment)
        return cls.from_document(located(content, path.parent), name=path.stem, where=str(path))

    @classmethod
    def from_document(cls, content: Mapping[str, Any], *, name: str = "experiment", where: str = "experiment") -> Experiment:
        """An experiment from a table as TOML gives it; circuit objects become tables of their designs."""
        refuse_secrets(content, where)
        top = {"name", "question", "data", "contender", "grid", "judge"}
        content = _as_data(_with_grids(content))
        if "base" in content and "objectives" in content:
            raise DocumentError(f"{where}: this is a study, not an experiment; run it: qlogad sweep {where}")
        if "data" not in content:
            raise DocumentError(f"{where}: there is no [data] table; add one with at least dataset = 'synthetic'")
        for key in content:
            if key not in top:
                raise DocumentError(f"{where}: unknown key {shown(key)}{did_you_mean(key, top)}; known: {', '.join(sorted(top))}")
        given = str(content.get("name", name))
        if not given or given.startswith(".") or set(given) & set("/\\\0") or given != one_line(given, _NAME):
            raise DocumentError(
                f"{where}: name = {shown(given)} cannot be the name of a folder; use one line of at most {_NAME} characters, without "
                "slashes or leading dots"
            )
        experiment = cls(
            name=given,
            question=" ".join(str(content.get("question", "")).split()),
            data=data_of(_table(content.get("data", {}), f"{where}: data"), where),
            contenders=_contenders(content.get("contender", []), content.get("grid", {}), where),
            judge=documents.from_mapping(Judge, _table(content.get("judge", {}), f"{where}: judge"), f"{where}: [judge]"),
            document=content,
        )
        experiment._check(where)
        return experiment

    def replace(self, **dotted: Any) -> Experiment:
        """A copy with keys of its document replaced; double underscores stand for dots: `replace(judge__seeds=2)`."""
        content: Mapping[str, Any] = self.document
        for key, value in dotted.items():
            content = documents.override_value(content, key.replace("__", "."), value)
        return Experiment.from_document(content, name=self.name, where=self.name)

    def _check(self, where: str) -> None:
        known = [contender.name for contender in self.contenders]
        for pair in self.judge.contrasts:
            for name in pair:
                if name not in known:
                    raise DocumentError(
                        f"{where}: contrast {list(pair)} names an unknown contender {shown(name)}{did_you_mean(name, known, most=3)}"
                    )
        tracks = {c.name: c.track(self.data.training) for c in self.contenders}
        for left, right in self.judge.contrasts:
            if tracks[left] != tracks[right]:
                raise DocumentError(
                    f"{where}: contrast '{left}' ({tracks[left]}) against '{right}' ({tracks[right]}) compares two tracks"
                )
        for contender in self.contenders:
            detector = contender.build()
            if detector.supervised and self.data.training == "normals":
                raise DocumentError(
                    f"{where}: contender '{contender.name}' learns from labelled anomalies too; set training = 'all' in [data]"
                )
            try:
                detector.check()
            except (InputError, BackendError) as error:
                place = f"{where}: [grid.{contender.like}]" if contender.grid else where
                raise DocumentError(f"{place}: contender '{contender.name}': {error}") from error


def located(content: Mapping[str, Any], folder: Path) -> documents.Document:
    """A document with its circuit files resolved: a relative path is looked up in its folder first, then in the current folder."""

    def walked(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: found_beside(folder, one) if names_design(key) else walked(one) for key, one in value.items()}
        return [walked(one) for one in value] if isinstance(value, list) else value

    return {key: walked(value) for key, value in content.items()}


def names_design(key: str) -> bool:
    """Whether a dotted key takes a circuit design, or a list of them."""
    return key.rpartition(".")[2] in ROLES


def found_beside(folder: Path, value: Any) -> Any:
    """A value whose circuit files are replaced by their paths in a folder, if they exist there."""
    if isinstance(value, Mapping):
        return {key: found_beside(folder, one) for key, one in value.items()}
    if isinstance(value, list):
        return [found_beside(folder, one) for one in value]
    return str(folder / value) if isinstance(value, str) and names.is_design_file(str(folder / value)) else value


def _as_data(content: Mapping[str, Any]) -> documents.Document:
    """A document with every circuit object replaced by the table of its design."""
    content = dict(content)
    tables = content.get("contender")
    for place, table in enumerate(tables if isinstance(tables, list) else ()):
        core = table.get("core") if isinstance(table, Mapping) else None
        if isinstance(core, Mapping):
            given = {role: core[role] for role in ROLES if role in core and not isinstance(core[role], Mapping)}
            foreign = {role: one for role, one in given.items() if not isinstance(one, str) or one.endswith(".qasm")}
            if foreign:
                told = {role: Design.of(one, role).table() for role, one in foreign.items()}
                content["contender"] = [*content["contender"]]
                content["contender"][place] = {**table, "core": {**core, **told}}
    return content


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where} must be a table, got {value!r:.60}")
    return value


def _with_grids(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "grid": nested(content["grid"])} if "grid" in content else dict(content)


def _contenders(tables: Any, grids: Any, where: str) -> tuple[Contender, ...]:
    if not tables or not isinstance(tables, list):
        raise DocumentError(f"{where}: there is no [[contender]]; add at least one, with a detector")
    written = [_name(table, position, where) for position, table in enumerate(tables, 1)]
    varied = grids_of(grids, written, where)
    resolved: dict[str, Contender] = {}
    for name, table in zip(written, tables, strict=True):
        if name in resolved:
            raise DocumentError(f"{where}: two contenders have the name '{name}'; rename one")
        resolved[name] = _contender(name, table, resolved, where)
        for axes in varied.get(name, ()):
            for values in combinations(axes):
                made = _made(resolved[name], axes, values, f"{where}: [grid.{name}]")
                if made.name in resolved or made.name in written:
                    raise DocumentError(
                        f"{where}: [grid.{name}] makes a second contender '{made.name}'; rename or remove the other"
                    )
                resolved[made.name] = made
    return tuple(resolved.values())


def _name(table: Any, position: int, where: str) -> str:
    name = _table(table, f"{where}: [[contender]] number {position}").get("name")
    if not isinstance(name, str) or not name:
        raise DocumentError(f"{where}: [[contender]] number {position} has no name")
    if name != one_line(name, _NAME):
        raise DocumentError(f"{where}: the name of a contender must be one line of at most {_NAME} characters, got {shown(name)}")
    return name


def _contender(name: str, table: Mapping[str, Any], resolved: Mapping[str, Contender], where: str) -> Contender:
    like = table.get("like")
    if like is not None and (not isinstance(like, str) or like not in resolved):
        raise DocumentError(
            f"{where}: contender '{name}' is like {shown(like)}, which is not defined above it{did_you_mean(str(like), resolved)}"
        )
    base = resolved[like] if like is not None else None
    detector = table.get("detector", base.detector if base else None)
    if not isinstance(detector, str):
        raise DocumentError(f"{where}: contender '{name}' has no detector; known: {', '.join(names.known('detector'))}")
    own = {key: value for key, value in table.items() if key not in _OURS}
    known = [*_OURS, *(f.name for f in fields(names.find("detector", detector)))]
    for key in own:
        if key not in known:
            raise DocumentError(
                f"{where}: contender '{name}': unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}"
            )
    where = f"{where}: contender '{name}'"
    control = _control(table.get("control", base.control if base else None), where)
    preset = _preset(table.get("preset"), detector, where)
    return Contender(name, detector, {**(base.params if base else {}), **preset, **own}, like, control)


def _preset(given: Any, detector: str, where: str) -> Mapping[str, Any]:
    """The keys that a preset of a detector stands for; none without one."""
    if given is None:
        return {}
    known: Mapping[str, Mapping[str, Any]] = names.find("detector", detector).presets
    if not isinstance(given, str) or given not in known:
        raise DocumentError(
            f"{where}: {shown(detector)} has no preset {shown(given)}{did_you_mean(str(given), known)}; known: "
            f"{', '.join(known) or 'none'}"
        )
    return known[given]


def _control(given: Any, where: str) -> str | None:
    """The name of a control; "none" removes an inherited one."""
    if given is not None and not isinstance(given, str):
        raise DocumentError(f"{where}: control must be a name such as 'frozen', got {given!r:.60}")
    return None if given == "none" else given


def _made(base: Contender, axes: Axes, values: Mapping[str, Any], where: str) -> Contender:
    """The contender for one combination of a grid's values."""
    name = made_name(base.name, axes, values)
    if name != one_line(name, _NAME):
        raise DocumentError(
            f"{where} makes a name of more than {_NAME} characters, {shown(name, 100)}; give '{base.name}' a shorter name"
        )
    params = {key: value for key, value in values.items() if key not in _OURS}
    known = _keys(base)
    for key in params:
        first = key.partition(".")[0]
        if first not in known:
            raise DocumentError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
    detector = values.get("detector", base.detector)
    if not isinstance(detector, str):
        raise DocumentError(f"{where}: detector must be a name such as 'deeplog', got {shown(detector)}")
    varied = {**base.params, **_preset(values.get("preset"), detector, where)}
    try:
        for key, value in params.items():
            varied = documents.override_value(varied, key, value)
        made = Contender(name, detector, varied, base.name, _control(values.get("control", base.control), where), values)
        made.build()
    except InputError as error:
        raise DocumentError(f"{where}: {error}") from error
    return made


def _keys(contender: Contender) -> list[str]:
    """The keys of a contender that can be varied; keys of its core are dotted."""
    detector = replace(contender, control=None).build()
    core = detector.get_params(deep=False).get("core")
    inside = [f"core.{f.name}" for f in fields(core)] if is_dataclass(core) else []
    return ["control", "detector", "preset", *(f.name for f in fields(detector)), *inside]
