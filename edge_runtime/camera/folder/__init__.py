"""The watched folder: watcher, scanner, intake (what is new and complete), pickup (decoding), disposal (afterwards)."""
