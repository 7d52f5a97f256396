"""Experiments: one question, one document, one table."""

from qlogad.experiment.data import Data
from qlogad.experiment.experiment import Contender, Experiment, Judge

__all__ = ["Contender", "Data", "Experiment", "Judge"]
