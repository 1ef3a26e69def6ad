"""How far a reconstruction is from known cameras and depth."""

from .evaluate import evaluate, evaluate_folder
from .report import Report
from .truth import Truth, TruthFrame, load_truth

__all__ = ["Report", "Truth", "TruthFrame", "evaluate", "evaluate_folder", "load_truth"]
