"""The operators that work on an imported shot, in the order of the work, and what may be dropped into the view."""

from .add_moving_plane import VGGT_OT_add_moving_plane
from .add_tracks import VGGT_OT_add_tracks
from .drop import VGGT_FH_reconstruction, VGGT_FH_source, VGGT_OT_drop_source
from .export import VGGT_OT_export
from .export_in_backend import VGGT_OT_export_in_backend
from .go_to_frame import VGGT_OT_go_to_frame, VGGT_OT_next_bad_frame
from .make_clip import VGGT_OT_make_clip
from .reset_filters import VGGT_OT_reset_filters
from .set_up_compositing import VGGT_OT_set_up_compositing
from .solve_again import VGGT_OT_solve_again

CLASSES = (
    VGGT_OT_go_to_frame,
    VGGT_OT_next_bad_frame,
    VGGT_OT_solve_again,
    VGGT_OT_reset_filters,
    VGGT_OT_make_clip,
    VGGT_OT_add_tracks,
    VGGT_OT_add_moving_plane,
    VGGT_OT_set_up_compositing,
    VGGT_OT_export,
    VGGT_OT_export_in_backend,
    VGGT_OT_drop_source,
    VGGT_FH_source,
    VGGT_FH_reconstruction,
)
