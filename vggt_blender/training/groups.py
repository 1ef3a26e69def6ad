"""Which parameters learn, which of them decay, and which are clipped together."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..exchange.messages import JobError
from ..model import VGGT


def freeze(model: VGGT, prefixes: list[str], heads: tuple[str, ...]) -> dict[str, list[nn.Parameter]]:
    """Switch off what does not learn; return what does, by module, for clipping.

    Raises `JobError` where nothing is left. Besides `prefixes`, parameters that no loss reaches stay as they are: other
    heads, and the encoder's mask token.
    """
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name, _ in model.named_parameters()):
            raise JobError("broken", f"model.frozen: no parameter's name starts with '{prefix}'.")
    groups: dict[str, list[nn.Parameter]] = {}
    reached = ("aggregator", *(f"{head}_head" for head in heads))
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        learns = part in reached and not name.endswith("mask_token") and not name.startswith(tuple(prefixes) or ("\0",))
        parameter.requires_grad_(learns)
        if learns:
            groups.setdefault(part, []).append(parameter)
    if not groups:
        raise JobError("broken", "model.frozen leaves nothing to train.")
    return groups


def decayed_groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices decay; norms, biases, scales and tokens do not."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in learning if p.dim() >= 2 and "token" not in name and "pos_embed" not in name]
    chosen = {id(p) for p in matrices}
    others = [p for _, p in learning if id(p) not in chosen]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
