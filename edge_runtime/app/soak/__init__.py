"""The line under load for hours, watched from outside: whether it leaks, drifts, or loses anything."""
