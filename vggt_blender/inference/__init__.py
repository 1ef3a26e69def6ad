"""Frames in: reading pictures and footage, preprocessing, checkpoints, the predictor."""
