"""The panels about an imported shot, in the order of the work."""

from . import quality
from .delivery import VGGT_PT_delivery
from .filters import VGGT_PT_filters
from .quality import VGGT_PT_quality
from .tracking import VGGT_PT_tracking

CLASSES = (VGGT_PT_quality, VGGT_PT_filters, VGGT_PT_tracking, VGGT_PT_delivery)


def register() -> None:
    """What the panels keep beside their classes."""
    quality.register()


def unregister() -> None:
    quality.unregister()
