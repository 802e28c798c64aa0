"""`edge-convert eval`: how well a bundle tells good parts from defective ones, for a person and for a machine."""
