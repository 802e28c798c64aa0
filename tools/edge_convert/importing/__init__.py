"""From a model that somebody else exported to a bundle that gives its verdicts."""
