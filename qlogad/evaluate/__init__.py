"""Numbers out: metrics of scores and alarms, and the statistics that compare them."""
