"""The SQS stand-in's other side: its faults and its journal."""

import contextlib
import json
import urllib.request


class Standin:
    """Of a stack with SQS_SERVER=standin; see tests/chaos/sqs_standin."""

    def __init__(self, endpoint, directory):
        self._url = endpoint.rstrip("/") + "/_control"
        self._journal = directory / "journal.jsonl"

    def control(self, **wishes):
        """Change something, or nothing; how things are now."""
        data = json.dumps(wishes).encode() if wishes else None
        with urllib.request.urlopen(self._url, data, timeout=30) as response:
            return json.loads(response.read())

    @contextlib.contextmanager
    def faults(self, *definitions, seed=1):
        """Faults for a while.  Yields a function: how often each happened."""
        self.control(seed=seed, faults=definitions)
        try:
            yield self.happened
        finally:
            self.control(faults=[])

    def happened(self):
        return [fault["happened"] for fault in self.control()["faults"]]

    def journal(self, *events):
        """Its lines, of these events only if any are given."""
        text = self._journal.read_text()
        # The last one may be half written.
        lines = map(json.loads, text[:text.rfind("\n") + 1].splitlines())
        return [line for line in lines
                if not events or line["event"] in events]

    def bodies(self):
        """Message id -> what was sent, parsed."""
        return {line["id"]: json.loads(line["body"])
                for line in self.journal("sent")}
