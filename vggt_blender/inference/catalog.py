"""The models that can be had: what they are, under which licence, where they live on this machine, how to get them.

Facts about the published files (sizes, hashes, revisions) are those of the model pages on the Hugging Face hub. Nothing
here touches the network but `download`, and a token is only ever read by huggingface_hub itself (from its environment
variables or its own login).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..exchange.messages import JobError, Reporter
from ..exchange.paths import exists, user_path


@dataclass(frozen=True)
class CatalogEntry:
    """One published checkpoint; `size` in bytes, `sha256` of the file."""

    name: str
    repository: str
    revision: str
    filename: str
    size: int
    sha256: str
    licence: str
    commercial: bool
    gated: bool

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{self.repository}"


CATALOG: dict[str, CatalogEntry] = {
    entry.name: entry
    for entry in (
        CatalogEntry(
            name="VGGT-1B",
            repository="facebook/VGGT-1B",
            revision="860abec7937da0a4c03c41d3c269c366e82abdf9",
            filename="model.safetensors",
            size=5_026_367_224,
            sha256="f164acf60724910d8fe1578bb499d800850c7bb0948db7555c413f9fbe60467e",
            licence="CC BY-NC 4.0: weights for non-commercial use",
            commercial=False,
            gated=False,
        ),
        CatalogEntry(
            name="VGGT-1B-Commercial",
            repository="facebook/VGGT-1B-Commercial",
            revision="ebb29a532abe92960eeb6903a5530f16990ef4ab",
            filename="model.safetensors",
            size=5_026_367_224,
            sha256="2b766b284359bc47ce26be107254621f685b758a0282082ff109f3ff02788b53",
            licence="VGGT AUP licence: commercial use under Meta's acceptable-use policy; access by application",
            commercial=True,
            gated=True,
        ),
    )
}

PREFERENCE = ("VGGT-1B-Commercial", "VGGT-1B")
"""Which model `auto` takes where several are here."""

OWN = "vggt-mini"
"""Our own small network, which comes along: taken when it is named, or for the engine vggt where no other is here;
`auto` does not prefer it to colmap."""
OWN_LICENCE = "GPL-3.0-or-later, as this program: commercial use too; trained on generated scenes alone"
_WEIGHTS = Path(__file__).parent / "weights"
OWN_CARD = _WEIGHTS / "README.md"


def can_download() -> bool:
    """Whether the hub's client is installed here."""
    return find_spec("huggingface_hub") is not None


def cached(entry: CatalogEntry) -> Path | None:
    """The checkpoint's file where it is complete on this machine, else None. No network."""
    if not can_download():
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.repository, entry.filename, revision=entry.revision)
    path = Path(found) if isinstance(found, str) else None
    return path if path is not None and path.is_file() and path.stat().st_size == entry.size else None


def cache_folder(entry: CatalogEntry) -> Path:
    """Where a download of `entry` lives: in the hub's cache, as its client's variables place it."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    return cache / f"models--{entry.repository.replace('/', '--')}"


def installed() -> str | None:
    """The name of the best catalogued model on this machine, or None; None too without torch or the hub client."""
    if find_spec("torch") is None:
        return None
    return next((name for name in PREFERENCE if cached(CATALOG[name]) is not None), None)


def own_files() -> list[Path]:
    """The files of `OWN`, any of which stands for all; none where this copy of the program came without."""
    return sorted(_WEIGHTS.glob(f"{OWN}-*.safetensors"))


def locate(model: str | None) -> Path:
    """The checkpoint's file for a catalogued name or a path; the best one here for None.

    Raises `JobError` that says how to get it.
    """
    name = model or installed() or OWN
    if name == OWN:
        files = own_files()
        if not files:
            raise JobError("no_model", "No VGGT weights on this machine: run 'models' to see what can be downloaded.")
        return files[0]
    if name in CATALOG:
        path = cached(CATALOG[name])
        if path is None:
            raise JobError("no_model", f"{name} is not on this machine: run 'models download {name}'.")
        return path
    path = user_path(name)
    if not exists(path) or not path.is_file():
        known = ", ".join((OWN, *CATALOG))
        raise JobError("no_model", f"'{name}' is neither a known model ({known}) nor a file.")
    return path


def describe() -> list[dict[str, Any]]:
    """One row a model for people and machines: name, licence, size, where it would live, whether it is here."""
    rows: list[dict[str, Any]] = []
    files = own_files()
    if files:
        row = {"name": OWN, "licence": OWN_LICENCE, "commercial": True, "gated": False, "page": str(OWN_CARD)}
        size = sum(path.stat().st_size for path in files)
        rows.append(row | {"size": size, "folder": str(_WEIGHTS), "path": str(files[0])})
    for entry in CATALOG.values():
        path = cached(entry)
        rows.append(
            {
                "name": entry.name,
                "licence": entry.licence,
                "commercial": entry.commercial,
                "gated": entry.gated,
                "size": entry.size,
                "page": entry.page,
                "folder": str(cache_folder(entry)),
                "path": None if path is None else str(path),
            }
        )
    return rows


def download(name: str, report: Reporter) -> Path:
    """Fetch a catalogued checkpoint into the hub's cache; an interrupted download resumes.

    Raises `JobError` where the machine is offline, the model is gated, the disk is too small or the file is not the
    published one.
    """
    if name == OWN and own_files():
        raise JobError("usage", f"{OWN} came with this program: there is nothing to download.")
    if name not in CATALOG:
        raise JobError("usage", f"There is no model '{name}': choose one of {', '.join(CATALOG)}.")
    entry = CATALOG[name]
    if not can_download():
        raise JobError("no_hub", "Downloads need huggingface_hub: run pip install '.[vggt]' in the extension's folder.")
    present = cached(entry)
    if present is not None:
        return present
    _check_space(entry)
    path = _fetch(entry, report)
    _verify(entry, path, report)
    return path


def _check_space(entry: CatalogEntry) -> None:
    folder = cache_folder(entry)
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    partial = sum(file.stat().st_size for file in folder.glob("blobs/*.incomplete"))
    free = shutil.disk_usage(existing).free
    if free < entry.size - partial:
        raise JobError(
            "disk_full",
            f"{entry.name} needs {entry.size / 1e9:.1f} GB but '{existing}' has {free / 1e9:.1f} GB free: "
            "free some space, or set HF_HOME to a folder on a larger disk.",
        )


def _fetch(entry: CatalogEntry, report: Reporter) -> Path:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read once, when the client is imported
    import httpx
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(
            hf_hub_download(
                entry.repository, entry.filename, revision=entry.revision, tqdm_class=_progress_class(report)
            )
        )
    except errors.GatedRepoError as failure:
        raise JobError(
            "gated",
            f"{entry.name} is gated: ask for access at {entry.page}, then log in with 'hf auth login' or set HF_TOKEN.",
            str(failure),
        ) from None
    # The RuntimeError is the client's own: after a failed connection it retries on a session that it has closed.
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, httpx.TransportError, RuntimeError) as failure:
        raise JobError(
            "offline",
            f"The Hugging Face hub cannot be reached. Check the network and try again; what was fetched is kept. "
            f"Or download {entry.filename} from {entry.page} elsewhere and give its path as the model.",
            str(failure),
        ) from None
    except errors.HfHubHTTPError as failure:
        raise JobError("hub", f"The hub refused {entry.name}: {failure}. Try again later.", str(failure)) from None
    except OSError as failure:
        raise JobError("output", f"{entry.name} cannot be stored: {failure.strerror or failure}.") from None


def _progress_class(report: Reporter) -> type:
    """huggingface_hub reports through tqdm: a class of it that speaks to `report`, in megabytes."""
    from tqdm import tqdm

    class Progress(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            options["disable"] = False
            options["file"] = _Silent()
            super().__init__(*arguments, **options)

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self.total:
                report.progress("download", int(self.n // 2**20), max(int(self.total // 2**20), 1))
            return shown

    return Progress


class _Silent:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def _verify(entry: CatalogEntry, path: Path, report: Reporter) -> None:
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
            done += len(block)
            report.progress("verify", done >> 20, entry.size >> 20)
    if digest.hexdigest() != entry.sha256:
        path.unlink()
        raise JobError("broken", f"The downloaded {entry.name} is not the published file; it was removed. Try again.")
