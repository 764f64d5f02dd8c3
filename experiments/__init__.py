"""The commands, and the rooms of what they use."""

import sys
from types import TracebackType


def _quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An interrupt while a command is still being imported is no fault to show a traceback of."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"\n{str(error) or 'stopped'}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:
    sys.excepthook = _quietly
