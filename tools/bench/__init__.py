"""Measurements beside other software. A tool for the release station: nothing in the product imports it."""
