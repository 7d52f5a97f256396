"""Cells and trials as trials of an Optuna study, run by worker processes on one host or many."""
