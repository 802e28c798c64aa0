"""The command line: arguments to app to exit code."""
