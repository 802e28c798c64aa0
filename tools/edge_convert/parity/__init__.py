"""`edge-convert parity`: does this bundle, on this machine, give the source model's verdicts?"""
