"""Whether W&B is used online: its key, its address, and what the environment and W&B's own settings say."""

from __future__ import annotations

import configparser
import netrc
import os
from pathlib import Path
from urllib.parse import urlparse

from common.errors import BadInput

KEY, MODE, BASE = "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"
SERVICE = "https://api.wandb.ai"
MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


def wandb_mode(configured: str) -> str:
    """online, offline or disabled: what the environment says, or the configuration. `auto` is what `wandb offline` has set, else
    online where there is a key. Raises BadInput for an unknown one in the environment."""
    given = os.environ.get(MODE, "").strip().lower()
    if given and given not in MODES:
        raise BadInput(f"{MODE}={given} in the environment is unknown; give online, offline or disabled, or unset it")
    if given:
        return MODES[given]
    if configured != "auto":
        return configured
    return MODES.get(_setting("mode"), "") or ("online" if has_key() else "offline")


def service() -> str:
    return (os.environ.get(BASE, "").strip() or _setting("base_url") or SERVICE).rstrip("/")


def has_key() -> bool:
    return bool(key())


def key() -> str:
    """From the environment, or from where `wandb login` writes it; empty where there is none."""
    return os.environ.get(KEY, "").strip() or _netrc_key(urlparse(service()).netloc)


def where_key() -> str:
    return KEY if os.environ.get(KEY) else "~/.netrc (wandb login)"


def _netrc_key(machine: str) -> str:
    """`machine`: host, with its port where the address has one; W&B reads the first of these files that is there."""
    given = os.environ.get("NETRC")
    for path in [Path(given).expanduser()] if given else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        if path.exists():
            try:
                entry = netrc.netrc(str(path)).authenticators(machine)
            except (OSError, netrc.NetrcParseError):
                entry = None
            return entry[2] or "" if entry else ""
    return ""


def _setting(name: str) -> str:
    """What `wandb login --host` and `wandb offline` have written: this folder's settings, or the user's."""
    user = os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb"
    for path in (Path("wandb") / "settings", Path(user) / "settings"):
        settings = configparser.ConfigParser(interpolation=None)
        try:
            settings.read(path)
        except (configparser.Error, OSError, ValueError):
            continue
        if value := settings.get("default", name, fallback="").strip():
            return value
    return ""


__all__ = ["KEY", "MODE", "has_key", "key", "service", "wandb_mode", "where_key"]
