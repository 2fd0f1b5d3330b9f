"""A Redis in which the engine has no more rights than the documents say."""

import re
import shutil

from .redis_server import Server
from .stack import ROOT


def documented_rights():
    """The words behind ACL SETUSER in docs/operations.md."""
    text = (ROOT / "docs/operations.md").read_text()
    return re.search(r"`ACL SETUSER (flashsale on >PASSWORD [^`]*)`",
                     text).group(1)


class Restricted:
    """start() gives it anew each time.  client may do everything."""

    def __init__(self, directory):
        self._directory = directory

    def start(self):
        shutil.rmtree(self._directory, ignore_errors=True)
        self._server = Server(self._directory, "appendonly yes", 'save ""',
                              f"user {documented_rights()}")
        self._server.start()
        self.client = self._server.client

    def stop(self):
        self._server.stop()

    @property
    def url(self):
        return f"redis://flashsale:PASSWORD@127.0.0.1:{self._server.port}"

    def denied(self):
        """What the engine was not allowed to do."""
        return self.client.acl_log()
