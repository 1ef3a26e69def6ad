"""What refinement compares: as many pairs as there is something to learn from, and nothing that is not scene."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_blender.exchange.reconstruction import Frame, Pose, Reconstruction, Source, load_reconstruction
from vggt_blender.refinement.correspondences import features_of, find_correspondences
from vggt_blender.refinement.pairs import MOST_PARTNERS, overlapping_pairs
from vggt_blender.refinement.views import views_of

TEXT, BAR = (slice(40, 100), slice(20, 120)), 30


def test_text_and_bars_are_no_scene_for_refinement_either(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    burnt = np.random.default_rng(0).integers(0, 2, (30, 50), np.uint8).repeat(2, axis=0).repeat(2, axis=1) * 255
    for frame in truth.frames:
        picture = np.array(Image.open(shot / frame.name))
        picture[TEXT] = burnt[..., None]
        picture[:BAR] = picture[-BAR:] = 0
        Image.fromarray(picture).save(tmp_path / frame.name)
    clean, marked = (features_of(painted.open(folder), painted.Recorder()) for folder in (shot, tmp_path))

    def share(features, chosen) -> float:
        return float(np.mean(np.concatenate([chosen(each.xy[:, 0], each.xy[:, 1]) for each in features])))

    def in_text(x, y):
        return (x > 20) & (x < 120) & (y > 40) & (y < 100)

    def in_bar(x, y):
        return (y < BAR) | (y > 300 - BAR)

    assert share(clean, in_text) > 0.03
    assert share(clean, in_bar) > 0.1
    assert share(marked, in_bar) == 0
    assert share(marked, in_text) < 0.01


def test_working_pictures_lie_in_the_folder_and_go_again(shots, painted, tmp_path, monkeypatch) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "r/a killed run would leave them here"))
    reconstruction, source = load_reconstruction(tmp_path / "r"), painted.open(shot)
    views = views_of(reconstruction.frames)
    staged = set()

    class Watching(painted.Recorder):
        def progress(self, stage: str, done: int, total: int) -> None:
            staged.add((stage, len(list((tmp_path / "r").glob(".partial-*")))))

    found = find_correspondences(source, [(0, 1), (1, 2)], views, reconstruction.folder, Watching())
    assert found.tracks.tracks > 100
    assert ("features", 1) in staged
    assert ("matching", 0) in staged
    assert painted.fingerprint(tmp_path / "r") == before


def shot(count: int, lost: set[int], kind: str) -> Reconstruction:
    """A camera that slides along a wall, and has no place in the frames `lost`."""
    frames = []
    for k in range(count):
        pose = np.column_stack([np.eye(3), [-0.1 * k, 0, 0]])
        solved = None if k in lost else Pose(pose, 500.0, 500.0, 200.0, 150.0)
        frames.append(Frame(f"{k}", "", k, None, 400, 300, solved))
    return Reconstruction(Path(), {}, Source(kind, ""), "", tuple(frames))


def test_frames_without_a_place_are_compared_with_a_bounded_number() -> None:
    counts = {}
    for kind in ("sequence", "images"):
        for count in (100, 200):
            made = shot(count, set(range(1, count, 2)), kind)
            pairs = overlapping_pairs(made, views_of(made.frames))
            counts[kind, count] = len(pairs)
            assert all(first < second for first, second in pairs)
            for k in range(1, count, 2):
                others = [sum(pair) - k for pair in pairs if k in pair]
                assert sum(other % 2 == 0 for other in others) >= MOST_PARTNERS, "those that can place it"
        assert counts[kind, 200] < 2.4 * counts[kind, 100], "it grows with the frames, not with their square"
