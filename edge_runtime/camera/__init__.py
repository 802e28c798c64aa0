"""Frame sources: a watched folder, OpenCV cameras, the simulated conveyor."""
