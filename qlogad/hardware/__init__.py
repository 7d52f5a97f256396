"""A trained detector on a device: plan, campaign, ladder."""
