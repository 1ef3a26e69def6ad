"""Cameras, unprojection and alignment in numpy; the only place where axes are converted."""
