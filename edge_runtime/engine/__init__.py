"""Running graphs; nothing about anomalies."""
