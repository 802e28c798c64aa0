"""Autoencoders trained on good parts: convolutional, variational and dilated, and the criterion of their residual."""
