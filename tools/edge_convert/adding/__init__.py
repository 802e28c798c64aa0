"""Good parts added to a finished bundle: learning from false rejects."""
