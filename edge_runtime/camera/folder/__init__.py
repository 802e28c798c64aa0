"""The watched folder. watcher: events; scanner: what is there; intake: what is new; pickup: bytes to frame; disposal."""
