"""Which files make a source, in which order, with which numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggt_blender.exchange.messages import JobError
from vggt_blender.inference.plates import list_source, natural_key


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def listed(folder: Path, kind: str = "auto") -> list[str]:
    return [path.name for path in list_source([str(folder)], kind).pictures]


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "shot10.png", "shot2.png", "Shot1.png", "shot2b.png")
    assert listed(tmp_path) == ["Shot1.png", "shot2.png", "shot2b.png", "shot10.png"]


def test_natural_key_never_compares_text_with_numbers() -> None:
    assert sorted(["a", "1", "a1", "1a", "", "10", "9"], key=natural_key) == ["", "1", "1a", "9", "10", "a", "a1"]


def test_suffixes_of_any_case_are_listed_once_and_other_files_not_at_all(tmp_path: Path) -> None:
    touch(tmp_path, "a.JPG", "b.jpg", "c.TIFF", "notes.txt", ".hidden.png", "._a.jpg", "sub/d.png")
    assert listed(tmp_path) == ["a.JPG", "b.jpg", "c.TIFF"]


def test_files_given_twice_or_in_any_order_are_one_list(tmp_path: Path) -> None:
    touch(tmp_path, "2.png", "10.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "2.png")
    given = [str(tmp_path / name) for name in ("10.png", "2.png", "10.png")]
    assert [path.name for path in list_source(given).pictures] == ["2.png", "10.png"]


@pytest.mark.parametrize("separator", [".", "_"])
def test_contiguous_plates_are_a_sequence_with_the_plates_own_numbers(tmp_path: Path, separator: str) -> None:
    touch(tmp_path, *(f"sh010_plate{separator}{number:04d}.exr" for number in range(998, 1003)))
    listing = list_source([str(tmp_path)])
    assert listing.numbers == (998, 999, 1000, 1001, 1002)
    assert listing.pattern == str(tmp_path / f"sh010_plate{separator}####.exr")


@pytest.mark.parametrize(
    "names",
    [
        ["plate.1001.png", "plate.1003.png"],  # a gap
        ["plate.1001.png", "plate.1002.jpg"],  # two kinds
        ["a.1001.png", "b.1002.png"],  # two names
        ["1001.png", "1002.png"],  # no name
        ["photo_1.png", "photo_2.png"],  # not ####
        ["plate1001.png", "plate1002.png"],  # no separator
        ["plate.1001.png", "plate.01002.png"],  # padded in two ways
        ["plate.1001.png"],  # one
    ],
)
def test_everything_else_is_images(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    assert list_source([str(tmp_path)]).numbers is None


def test_said_to_be_a_sequence_it_keeps_its_gaps(tmp_path: Path) -> None:
    touch(tmp_path, "p9.png", "p11.png", "p10.png", "p14.png")
    assert list_source([str(tmp_path)], "sequence").numbers == (9, 10, 11, 14)


def test_said_to_be_images_plates_are_images(tmp_path: Path) -> None:
    touch(tmp_path, "p.1001.png", "p.1002.png")
    assert list_source([str(tmp_path)], "images").numbers is None


def failure(inputs: list[str], kind: str = "auto") -> JobError:
    with pytest.raises(JobError) as caught:
        list_source(inputs, kind)
    assert "\n" not in caught.value.message
    return caught.value


def test_what_cannot_be_a_source_is_said_in_one_line(tmp_path: Path) -> None:
    touch(
        tmp_path, "stills/a.png", "stills/b.png", "clips/a.mov", "empty/readme.txt", "two/a.0001.png", "two/b.0002.png"
    )
    stills, clip = str(tmp_path / "stills"), str(tmp_path / "clips/a.mov")
    assert "nothere" in failure([str(tmp_path / "nothere")]).message
    assert failure([stills, clip]).code == "usage"
    assert failure([str(tmp_path / "stills/a.png"), clip]).code == "usage"
    assert failure([stills], "video").code == "usage"
    assert failure([clip], "images").code == "usage"
    assert "no frame number" in failure([stills], "sequence").message
    assert "More than one sequence" in failure([str(tmp_path / "two")], "sequence").message
    assert failure([str(tmp_path / "empty")]).code == "no_pictures"
    assert "a.mov" in failure([str(tmp_path / "clips")]).message
