"""All of it, section by section."""

from __future__ import annotations

from experiments.health import abilities, hardware, models, packages, surroundings
from experiments.health.findings import Sections


def examine() -> Sections:
    found, why = hardware.gpus()
    sections: Sections = {
        "machine": [
            *hardware.python(),
            *packages.core(),
            *hardware.torch(found),
            *hardware.graphics(found, why),
            *hardware.cores(),
            *hardware.memory(),
            *hardware.disk(),
            *hardware.checkout(),
            *surroundings.switches(),
        ],
        "extras": packages.extras(),
        "tiny models": models.tiny(),
        "published models": [*models.published(), *models.cached()],
        "data": surroundings.data(),
        "keys": surroundings.keys(),
    }
    sections["scales"] = abilities.scales(sections, found)
    sections["commands"] = abilities.by_command(sections)
    return sections


__all__ = ["examine"]
