"""Operating the daemon: clock, latest-value cell, logs, health, metrics."""
