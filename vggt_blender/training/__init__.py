"""Training and fine-tuning: losses, generated scenes, and the loop."""

from .config import TrainingConfig, load_config
from .trainer import Trainer, train

__all__ = ["Trainer", "TrainingConfig", "load_config", "train"]
