"""How fast a bundle is on this machine: against its parts, its engine's own tool, its peers, and its other searches."""
