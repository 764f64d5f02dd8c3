"""What calls cost, and a budget that they must not exceed."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from common.errors import BadInput
from judges.question import BudgetSpent


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        if not (self.input >= 0 and self.output >= 0):
            raise BadInput(f"prices must be 0 or more dollars per million tokens, not {self.input} and {self.output}")

    def dollars(self, input_tokens: int, output_tokens: int) -> float:
        return (self.input * input_tokens + self.output * output_tokens) / 1e6


class Ledger:
    """Lets a call start only where the budget still covers it together with those under way.

    A call is expected to cost as much as the dearest one so far, the first one as much as its caller guesses. Near the end
    a call waits for those under way, which often cost less than expected; so the last dollars are used, and the budget is
    overrun only where a call costs more than every one before it.
    """

    def __init__(self, budget: float | None = None) -> None:
        if budget is not None and not budget >= 0:
            raise BadInput(f"a budget must be 0 or more dollars, not {budget}")
        self.budget, self.spent = budget, 0.0
        self._under_way, self._dearest, self._calls = 0.0, 0.0, 0
        self._settled = threading.Condition()

    def reserve(self, guess: float) -> float:
        """Dollars set aside for one call, to be handed to `settle`. Raises BudgetSpent where the budget is too small."""
        if self.budget is None:
            return 0.0
        with self._settled:
            while True:
                expected = self._dearest if self._calls else guess
                if self.spent + self._under_way + expected <= self.budget:
                    self._under_way += expected
                    return expected
                if self._under_way <= 0:
                    raise BudgetSpent(
                        f"the budget of ${self.budget:.2f} does not cover another call: ${self.spent:.4f} are spent and the "
                        f"next one may cost ${expected:.4f}. Give a larger budget and the same command again: replies that "
                        "are kept cost nothing"
                    )
                self._settled.wait()

    def settle(self, reserved: float, dollars: float | None) -> None:
        """The call is over and cost so much; None: it brought no reply, so nothing is known of its cost."""
        with self._settled:
            self._under_way = max(0.0, self._under_way - reserved)
            if self._under_way < 1e-12:  # what adding and subtracting leaves
                self._under_way = 0.0
            if dollars is not None:
                self._calls += 1
                self._dearest = max(self._dearest, dollars)
                self.spent += dollars
            self._settled.notify_all()


__all__ = ["Ledger", "Prices"]
