"""Objects that a configuration names by dotted path: classes of parts, stages of a job, panels of a report."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from common.errors import BadInput, ImageEditError


def load_dotted(path: str, given: str) -> Any:
    """The object at `package.module.NAME`; the current folder counts as importable.

    Raises BadInput, which begins with `given` (what the user wrote) and says what is wrong: no module in the path, a module or
    a package that is missing, code that fails when it is imported, or no such name, with the nearest one.
    """
    module_name, _, name = str(path).rpartition(".")
    if not module_name:
        raise BadInput(f"{given} names no class: write package.module.Class")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(missing + "."):
            raise BadInput(f"{given}: there is no module {missing} in the current folder or on PYTHONPATH") from None
        raise BadInput(f"{given}: {module_name} needs the package {missing}, which is not installed") from error
    except ImageEditError:
        raise
    except Exception as error:  # a user's own code
        raise BadInput(f"{given}: importing {module_name} failed with {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        alike = name[:1].isupper()  # a class for a class, a function for a function
        public = [key for key in vars(module) if key[:1] != "_" and key[:1].isupper() == alike]
        raise BadInput(f"{given}: {module_name} has no {name}{nearest(name, public)}")
    return getattr(module, name)


def nearest(word: str, known: Sequence[str], prefix: str = "", all_of_them: bool = False) -> str:
    """What an error message adds about a name that does not exist: the most similar one."""
    by_lower = {name.lower(): name for name in reversed(known)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.0)
    if not near:
        return ""
    return f"; the nearest one is '{prefix}{by_lower[near[0]]}'" + (
        f" (there are: {', '.join(known)})" if all_of_them else ""
    )


__all__ = ["load_dotted", "nearest"]
