"""Pure rules: from an inspection to a verdict, from a verdict to a gate action."""
