"""Fetch data sets and look at them."""
