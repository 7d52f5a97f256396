"""From windows to what detectors read: the shared ragged base and the views on it."""
