"""What a device says of itself."""

from __future__ import annotations

from pathlib import Path

from vggt_blender.inference.devices import left_in_container


def test_a_container_gives_what_cached_files_hold(tmp_path: Path) -> None:
    assert left_in_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "memory.current").write_text("6500\n")
    (tmp_path / "memory.stat").write_text("anon 1400\nfile 5100\nactive_file 1000\ninactive_file 4000\n")
    assert left_in_container(tmp_path) == 8000 - 6500 + 5000
    (tmp_path / "memory.max").write_text("max\n")
    assert left_in_container(tmp_path) is None
