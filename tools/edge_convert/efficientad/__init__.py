"""EfficientAD (Batzner et al. 2024, arXiv 2303.14535): teachers distilled, models trained, exported as one graph."""
