"""Metrics of scores and alarms, statistics that compare detectors, and analyses of circuits."""
