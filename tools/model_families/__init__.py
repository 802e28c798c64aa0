"""Exports of the field's model families with their references, and the table of what became of each as a bundle."""
