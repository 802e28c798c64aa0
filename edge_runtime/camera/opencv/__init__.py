"""V4L2 devices, network streams and video files through OpenCV."""
