"""Activation patterns, and laws of gates to draw them from."""
