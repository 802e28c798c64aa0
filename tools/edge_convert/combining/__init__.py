"""How models do together, before a line relies on it."""
