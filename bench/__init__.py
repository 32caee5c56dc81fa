"""Measurements of Sportello beside its limits and its peers, as ratios of one run."""
