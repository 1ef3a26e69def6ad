"""From a request to a written file or folder: the export that a backend runs beside its jobs."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np

from ..exchange.export import Export
from ..exchange.messages import JobError, Reporter, expect
from ..exchange.placing import placed
from ..exchange.reconstruction import load_reconstruction
from ..geometry.alignment import Similarity
from .formats import FORMATS, export


def run_export(request: Export, report: Reporter) -> Path:
    """Write what `request` asks for and return where it lies.

    Raises `JobError` (`Cancelled` included); what is written is there as a whole or not at all.
    """
    if request.to not in FORMATS:
        raise JobError("usage", f"Unknown format '{request.to}': choose one of {', '.join(FORMATS)}.")
    expect(report, ())
    try:
        reconstruction = load_reconstruction(request.folder)
        if request.place is not None:
            reconstruction = placed(reconstruction, _similarity(request))
        return export(reconstruction, request.to, Path(request.output), overwrite=request.overwrite, report=report)
    except (JobError, ImportError):
        raise
    except MemoryError:
        raise JobError("out_of_memory", "Not enough memory to write this.", traceback.format_exc()) from None
    except Exception as failure:
        reason = str(failure).strip().partition("\n")[0]
        raise JobError(
            "failed", f"The export failed unexpectedly ({type(failure).__name__}: {reason}).", traceback.format_exc()
        ) from None


def _similarity(request: Export) -> Similarity:
    try:
        return Similarity.of_matrix(np.array(request.place))
    except ValueError as failure:
        raise JobError("usage", f"The export's 'place' is of no use: {failure}.") from None
