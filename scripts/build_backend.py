"""setuptools' build backend, for installations of the checkout itself.

A copy would put packages with names as general as `agents`, `conf` and `rl` among everybody else's, and leave the tiny
checkpoints behind. An editable installation has neither fault.
"""

import sys

from setuptools.build_meta import (  # noqa: F401  # the hooks of PEP 517 and 660
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    sys.exit(
        "error: imageedit-r1 is installed as the checkout it is, so that its configuration and tiny models stay with it. "
        "Run `make setup` in the checkout, or `pip install -e .` (with -e)."
    )


def build_sdist(sdist_directory, config_settings=None):
    build_wheel(sdist_directory)
