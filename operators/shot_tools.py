"""The operators that work on an imported shot, in the order of the work."""

from .go_to_frame import VGGT_OT_go_to_frame, VGGT_OT_next_bad_frame
from .reset_filters import VGGT_OT_reset_filters

CLASSES = (
    VGGT_OT_go_to_frame,
    VGGT_OT_next_bad_frame,
    VGGT_OT_reset_filters,
)
