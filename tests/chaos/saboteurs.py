"""The patches in sabotage/: each breaks one promise on purpose.  Its head
says, for people and for us, what is broken, how the judge sees it (a regular
expression for its sentences), and which faults bring it to light."""

import collections
import pathlib
import re

from faults import FAULTS

Sabotage = collections.namedtuple("Sabotage",
                                  "name programs expected faults")
FOLDER = pathlib.Path(__file__).resolve().parent / "sabotage"


def _field(head, name):
    return re.search(rf"^{name}: (.*)$", head, re.M).group(1)


def read_sabotages(root):
    """All of them; sabotage/build has built their programs."""
    found = []
    for path in sorted(FOLDER.glob("*.patch")):
        head = path.read_text().partition("\n--- ")[0]
        faults = [name.strip() for name in _field(head, "Faults").split(",")]
        unknown = set(faults) - set(FAULTS)
        assert not unknown, f"{path.name}: no fault {unknown}"
        found.append(Sabotage(
            path.stem, root / f"build/sabotage/{path.stem}/build/fail",
            _field(head, "Seen as"), faults))
    return found
