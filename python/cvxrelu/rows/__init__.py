"""Rows of data, wherever they lie."""
