"""Train the project's own small backbone from procedural images alone."""
