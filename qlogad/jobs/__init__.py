"""Cells and trials as trials of an Optuna study, worked on by processes of one host or many."""
