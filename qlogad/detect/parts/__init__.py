"""What several detectors share: distinct rows of a view, linear models, trees."""
