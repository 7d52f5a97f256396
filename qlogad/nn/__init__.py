"""Torch modules: circuits as layers, the cores of a detector, recurrent cells and the training loop."""
