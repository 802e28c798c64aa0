"""The companion on the engineering PC: teach, evaluate, quantize."""
