"""`flowbatch version`."""

import platform

from flowbatch import __version__


def version() -> None:
    """Print the version of flowbatch and of the Python it runs on."""
    print(f"flowbatch {__version__} (Python {platform.python_version()}, {platform.system().lower()})")
