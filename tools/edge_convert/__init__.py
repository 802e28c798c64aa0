"""The companion on the engineering PC: teach, evaluate, quantize."""

import os

# Before anything in this package imports onnxruntime: from 1.31 on that alone numbers the device and collects events.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
