"""Experiments: one question, one document, one table."""

from qlogad.experiment.experiment import Contender, Data, Experiment, Judge

__all__ = ["Contender", "Data", "Experiment", "Judge"]
