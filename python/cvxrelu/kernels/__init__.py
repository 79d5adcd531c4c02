"""Masking kernels, neural tangent kernels, and learning their mixtures."""
