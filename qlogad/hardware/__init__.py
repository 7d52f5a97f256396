"""A trained detector on a device: forecast, campaign, ladder."""
