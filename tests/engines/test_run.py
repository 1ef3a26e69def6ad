"""What a job becomes before an engine gets it."""

from __future__ import annotations

import pytest

from vggt_blender.engines import run
from vggt_blender.exchange.job import Job


@pytest.mark.parametrize(
    ("asked", "taken", "refines"),
    [("auto", "colmap", False), ("auto", "vggt", True), ("colmap", "colmap", True), ("vggt", "vggt", True)],
)
def test_colmap_is_refined_again_only_where_it_was_named(asked: str, taken: str, refines: bool) -> None:
    job = Job(("plates",), "solve", engine=asked, refine=True)
    assert run._needs_refining(job, taken) is refines
    assert not run._needs_refining(Job(("plates",), "solve", engine=asked), taken)
