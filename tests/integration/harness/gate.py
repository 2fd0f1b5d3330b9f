"""What the gatekeeper has put down for nginx."""

import os

from .wait import eventually


class Gate:
    """The gate of a stack, seen from the file system."""

    def __init__(self, stack):
        self._directory = stack.directory / "run/gate"

    def keeper(self):
        """The directory of the gatekeeper that is at work, if any."""
        owners = {os.readlink(link) for link in self._directory.glob("*.?")}
        return owners.pop() if len(owners) == 1 else None

    def pid(self):
        return int(eventually(self.keeper).partition("-")[0])

    def is_shut(self, sku):
        return any(self._directory.glob(f"*/POST/buy/{sku}.*"))

    def marker(self, name):
        return self._directory / eventually(self.keeper) / "POST/buy" / name

    def count(self):
        return len({marker.name.rpartition(".")[0] for marker
                    in self._directory.glob("*/POST/buy/*.*")})

    def await_shut(self, sku):
        eventually(lambda: self.is_shut(sku), what=f"a marker of {sku}")
