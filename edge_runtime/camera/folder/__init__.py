"""The watched folder. watcher: events; scanner: what is there; intake: what is new; pickup: decoding; disposal: after."""
