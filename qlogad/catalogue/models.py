"""Models of finished runs: what `qlogad model export` writes."""

from __future__ import annotations

from pathlib import Path

from qlogad import files
from qlogad.detect.detector import Detector
from qlogad.errors import AccountNeeded, InputError, ResultError
from qlogad.experiment.runner import preprocessor_file
from qlogad.features.preprocessor import Preprocessor
from qlogad.hardware.windows import trained
from qlogad.model import DETECTOR, Origin, origin_of, write

__all__ = ["export"]


def export(result: Path, contender: str, folder: Path, *, seed: int | None = None, cut: str | None = None) -> Origin:
    """Write the model of a contender of a finished run; see `qlogad.Model`.

    Args:
        result: the folder of the run.
        contender: its name in the table.
        folder: the model's folder; created, unless it holds the same model from an earlier export.
        seed: of its training; None: the first.
        cut: the position in time; None: the first.

    Raises:
        UnknownName: there is no such contender, seed or cut.
        ResultError: there is no finished run, or its detectors or preprocessors were not kept.
        InputError: the folder holds something else.
    """
    found = trained(result, contender, seed=seed, cut=cut)
    origin = Origin(result.resolve().name, found.contender, found.seed, found.cut)
    _refuse_others(folder, origin)
    path, again = preprocessor_file(result, found.cut), f"run the experiment again: qlogad run {result.name} --out {result.parent}"
    try:
        state = files.read_facts(path)
        preprocessor = Preprocessor.from_state(state, str(path))
        if preprocessor.pipeline.base_ != found.test.features.base:
            raise ResultError(f"{path} belongs to other windows than the detector")
        try:
            detector = Detector.load(found.folder)
        except AccountNeeded:  # the backend is named when the model is loaded
            detector = Detector.load(found.folder, backend="exact")
    except ResultError as error:
        raise ResultError(f"{error}; {again}") from error
    if detector.threshold_ is None:
        raise ResultError(f"the detector of {contender} has no threshold, so nothing would be an alarm; {again}")
    kept = {name: (found.folder.parent / name).read_bytes() for name in DETECTOR}  # copied byte by byte
    write(folder, preprocessor.reading(detector.reads).state(), kept, origin)
    return origin


def _refuse_others(folder: Path, origin: Origin) -> None:
    """Refuse to overwrite anything but the same model."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    if not (folder / "model.toml").is_file():
        raise InputError(f"{folder} is not empty and holds no model; name a new folder")
    there = origin_of(folder)
    if there != origin:
        raise InputError(f"{folder} holds {there or 'a model of unknown origin'}; name a new folder, or remove it first")
