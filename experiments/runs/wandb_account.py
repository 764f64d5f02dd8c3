"""Whether W&B is used online: its key, its address, and what the environment says."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlparse

from common.errors import BadInput

KEY, MODE, BASE = "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"
SERVICE = "https://api.wandb.ai"
MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


def wandb_mode(configured: str) -> str:
    """online, offline or disabled: what the environment says, or the configuration. Raises BadInput for an unknown one."""
    given = os.environ.get(MODE, "").strip().lower()
    if given and given not in MODES:
        raise BadInput(f"{MODE}={given} in the environment is unknown; give online, offline or disabled, or unset it")
    if given:
        return MODES[given]
    return ("online" if has_key() else "offline") if configured == "auto" else configured


def service() -> str:
    return os.environ.get(BASE, "").strip() or SERVICE


def has_key() -> bool:
    """In the environment, or where `wandb login` writes it."""
    return bool(os.environ.get(KEY)) or _netrc_has(urlparse(service()).hostname or "")


def _netrc_has(host: str) -> bool:
    given = os.environ.get("NETRC")
    for path in [Path(given)] if given else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            entry = netrc.netrc(str(path)).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            continue
        if entry and entry[2]:
            return True
    return False


__all__ = ["KEY", "MODE", "has_key", "service", "wandb_mode"]
