"""Which prompts a step trains on: new ones, and earlier ones that the policy does not answer reliably yet.

Choosing prompts by their pass rate (as in Kimi k1.5, arXiv 2501.12599, section 2.3.4, and DAPO's dynamic sampling, 2503.14476)
spends rollouts where answers differ. The rate of a prompt is measured by the rollouts it gets anyway, and anew each time that it
is drawn. Everything is a function of (seed, step, what was observed), and belongs to the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rl.config import PromptPoolConfig


@dataclass
class Known:
    """A prompt that was answered: the share of its answers that passed, how often it was drawn, and the last step of that."""

    rate: float
    uses: int
    step: int


class Prompts:
    """`index(step, place)` is the number of the training sample for each of a step's `places` places. The first `per_step` are
    what the step asks for; those behind them are drawn only under dynamic sampling, and are always new."""

    def __init__(self, config: PromptPoolConfig, per_step: int, places: int, seed: int) -> None:
        self.config, self.per_step, self.places, self.seed = config, per_step, places, seed
        self.known: dict[int, Known] = {}
        self.next_new = 0  # number of the first sample that was never drawn
        self.chosen: dict[int, list[int]] = {}  # step -> the samples of its places, until the step was observed
        self.again: dict[int, int] = {}  # step -> how many of its first places have samples that were drawn before

    def choose(self, step: int) -> None:
        """Decide on a step's prompts, from what is known now. To be called before any of its places is drawn; a second call
        changes nothing."""
        if not self.config.size or step in self.chosen:
            return
        waiting = {index for chosen in self.chosen.values() for index in chosen}
        again = sorted(index for index, known in self.known.items() if index not in waiting and self._hard(known))
        most = self.per_step - round(self.config.new_share * self.per_step)
        indices = Random(f"prompts/{self.seed}/{step}").sample(again, min(most, len(again)))
        new = self.places - len(indices)
        self.chosen[step] = indices + list(range(self.next_new, self.next_new + new))
        self.again[step] = len(indices)
        self.next_new += new

    def index(self, step: int, place: int) -> int:
        return self.chosen[step][place] if self.config.size else step * self.places + place

    def completions(self, step: int, place: int, usual: int) -> int:
        """How many completions a place gets, where new prompts get `usual` ones."""
        return self.config.group_size or usual if place < self.again.get(step, 0) else usual

    def observe(self, step: int, rewards: Mapping[int, Sequence[float | None]]) -> dict[str, float]:
        """Take note of the rewards of a step's answers, by place; a place without any reward tells nothing. Returns metrics."""
        if not self.config.size:
            return {}
        chosen = self.chosen.pop(step)
        again = self.again.pop(step)
        for place, values in sorted(rewards.items()):
            present = [v for v in values if v is not None]
            if present:
                uses = self.known[chosen[place]].uses if chosen[place] in self.known else 0
                rate = sum(v >= self.config.passed for v in present) / len(present)
                self.known[chosen[place]] = Known(rate, uses + 1, step)
        self.known = {index: known for index, known in self.known.items() if self._hard(known)}
        newest = sorted(self.known, key=lambda index: (-self.known[index].step, index))[: self.config.size]
        self.known = {index: self.known[index] for index in sorted(newest)}
        rates = [known.rate for known in self.known.values()]
        return {
            "prompts/kept": float(len(rates)),
            "prompts/drawn_again": sum(place < again for place in rewards) / max(1, len(rewards)),
        } | ({"prompts/pass_rate": sum(rates) / len(rates)} if rates else {})

    def _hard(self, known: Known) -> bool:
        return self.config.lowest <= known.rate <= self.config.highest and known.uses < self.config.uses

    def state_dict(self) -> dict[str, Any]:
        known = [[index, k.rate, k.uses, k.step] for index, k in self.known.items()]
        return {"known": known, "next_new": self.next_new, "chosen": self.chosen, "again": self.again}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.known = {index: Known(rate, uses, step) for index, rate, uses, step in state["known"]}
        self.next_new, self.chosen, self.again = state["next_new"], dict(state["chosen"]), dict(state["again"])


__all__ = ["Known", "Prompts"]
