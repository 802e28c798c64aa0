"""The release station: keys, signed releases, sticks, and a folder for a web server."""
