"""The steps of `teach`, one room each."""
