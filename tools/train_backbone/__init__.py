"""Make the project's own small backbones: from computed filters, and from procedural images alone."""
