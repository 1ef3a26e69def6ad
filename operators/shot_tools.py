"""The operators that work on an imported shot, in the order of the work."""

from .go_to_frame import VGGT_OT_go_to_frame, VGGT_OT_next_bad_frame

CLASSES = (
    VGGT_OT_go_to_frame,
    VGGT_OT_next_bad_frame,
)
