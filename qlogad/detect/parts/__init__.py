"""What several detectors share: distinct rows of a view, scores of events, linear models, trees."""
