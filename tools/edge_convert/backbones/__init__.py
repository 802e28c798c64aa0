"""`edge-convert backbone`: a pretrained backbone from its library's official place, or from a file, as ONNX."""
