"""One family of errors for the whole project: every kind is an `ImageEditError` and also the standard error of its kind.

A message says what was wrong, where (file, row, key) and what to do. Entry points turn any of these into exit code 2
and the message alone; everything else is a bug and keeps its traceback.
"""


class ImageEditError(Exception):
    """Base of all errors this project raises on purpose."""


class BadInput(ImageEditError, ValueError):
    """A value that the caller gave (request, image, weight, key) cannot be used."""


class MissingFile(ImageEditError, FileNotFoundError):
    """A file, folder, data set or checkpoint does not exist at the given place."""


class BadData(ImageEditError, ValueError):
    """A file exists but its content does not follow its format; the message names file and line."""


class SaveFailed(ImageEditError, OSError):
    """Something could not be written (disk full, permission); the message says what is still intact."""


class RunFailed(ImageEditError, RuntimeError):
    """A run cannot go on (too many invalid verdicts, no usable reward, an engine that died)."""
