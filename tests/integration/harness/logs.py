"""Reading the processes' logs for what must never be in them."""

import re

# A sanitizer's report, or the line it begins with.
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|MemorySanitizer"
                       r"|UndefinedBehavior|: runtime error: ")

# 2026-11-22T14:41:09.123Z flashsale-fcgi[812] error text
RECORD = re.compile(r"^\S+Z (?P<program>[\w-]+)\[\d+\] (?P<level>\w+) ")


class LogReader:
    """The lines that were added to a log since the last look."""

    def __init__(self, path):
        self.path, self._offset = path, 0

    def new_lines(self):
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        # A line that is still being written waits for the next look.
        text = text[:text.rfind(b"\n") + 1]
        self._offset += len(text)
        return text.decode("utf-8", "replace").splitlines()


def complaints(lines, expected):
    """The lines that are a sanitizer's, or of level error and not expected
    by any of these regular expressions."""
    found = []
    for line in lines:
        record = RECORD.match(line)
        if SANITIZER.search(line):
            found.append(line)
        elif record and record["level"] == "error":
            if not any(re.search(text, line) for text in expected):
                found.append(line)
    return found
