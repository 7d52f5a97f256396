"""From windows to the inputs of detectors: the shared ragged base and the views on it."""
