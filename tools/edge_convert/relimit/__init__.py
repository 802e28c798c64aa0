"""`edge-convert relimit`: other limits for a bundle whose weights stay as they are."""
