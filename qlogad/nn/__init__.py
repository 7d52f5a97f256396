"""Torch modules: the circuit as a layer, the cores a detector can run with, the recurrent cell and the one training loop."""
