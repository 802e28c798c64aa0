"""From a bundle and an engine to a score and an anomaly map."""
