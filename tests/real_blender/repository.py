"""Our own extension repository: listed, added, installed from and updated from, by a real Blender over HTTP.

Standard library only: it runs outside Blender.
"""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = "blender_manifest.toml"
REPOSITORY = "studio"


def try_repository(
    blender: Callable[..., str], archive: Path, scratch: Path, check: Callable[[str, bool, object], None]
) -> None:
    """`blender` runs one without a window with the given arguments and returns what it printed."""
    served = scratch / "served"
    served.mkdir()
    installed = scratch / "user" / "extensions" / REPOSITORY / "vggt_matchmove" / MANIFEST
    extension = partial(blender, "--online-mode", "--command", "extension")
    with _server(served) as url:
        version = _publish(archive, served, 0)
        output = extension("server-generate", "--repo-dir", str(served), "--html")
        check("the repository has a listing and a page", {"index.json", "index.html"} <= _names(served), output)
        output = extension("repo-add", "--name", "Studio", "--url", f"{url}/index.json", REPOSITORY)
        output += extension("sync")
        output += extension("install", f"{REPOSITORY}.vggt_matchmove")
        check("Blender installs from the repository", _version_in(installed) == version, output)
        newer = _publish(archive, served, 1)
        extension("server-generate", "--repo-dir", str(served), "--html")
        output = extension("sync") + extension("update")
        check("Blender updates to a higher version", _version_in(installed) == newer != version, output)
        output = extension("remove", f"{REPOSITORY}.vggt_matchmove") + extension("repo-remove", REPOSITORY)
        check("what was installed from it can be removed", not installed.exists(), output)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _publish(archive: Path, folder: Path, raise_by: int) -> str:
    """Put `archive` alone into `folder`, its version's last number raised; returns the version."""
    for older in folder.glob("*.zip"):
        older.unlink()
    version = ""
    target = folder / archive.name
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith(MANIFEST):
                *front, last = _version(content.decode()).split(".")
                version = ".".join([*front, str(int(last) + raise_by)])
                content = re.sub(rb'^version = "[^"]+"', f'version = "{version}"'.encode(), content, flags=re.MULTILINE)
            copy.writestr(entry, content)
    return version


def _version(manifest: str) -> str:
    found = re.search(r'^version = "([^"]+)"', manifest, re.MULTILINE)
    return found[1] if found else ""


def _version_in(manifest: Path) -> str:
    return _version(manifest.read_text(encoding="utf-8")) if manifest.is_file() else ""


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
