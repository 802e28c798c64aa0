"""From a source model to a sealed bundle: precision, limits, golden images, and the proof of parity."""
