"""Pure array work: decode, prepare, anomaly maps, heatmaps."""
