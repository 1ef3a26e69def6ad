"""Comparison of a reconstruction with known cameras and depth."""
