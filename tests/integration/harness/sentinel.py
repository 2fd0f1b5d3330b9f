"""Two Redis, one a replica of the other, and three Sentinels that see to it
that one of them is the master.  On free ports of the loopback address."""

import shutil

import redis.sentinel

from .redis_server import Server
from .wait import eventually

NAME = "mymaster"


class Group:
    """As above; start() gives it anew each time."""

    def __init__(self, directory):
        self._directory = directory

    def start(self):
        shutil.rmtree(self._directory, ignore_errors=True)
        durable = "appendonly yes", 'save ""'
        self.first = Server(self._directory / "first", *durable)
        self.second = Server(self._directory / "second", *durable,
                             f"replicaof 127.0.0.1 {self.first.port}")
        self.sentinels = [
            Server(self._directory / f"sentinel-{n}", *self._watch(self.first),
                   sentinel=True) for n in range(3)]
        for server in (self.first, self.second, *self.sentinels):
            server.start()
        self.wait_whole(self.first)
        # A client that goes where the Sentinels say.
        self.client = redis.sentinel.Sentinel(
            [("127.0.0.1", s.port) for s in self.sentinels]).master_for(
                NAME, decode_responses=True)

    def stop(self):
        for server in (*self.sentinels, self.second, self.first):
            server.stop()

    @staticmethod
    def _watch(server):
        return (f"sentinel monitor {NAME} 127.0.0.1 {server.port} 2",
                # Thrice as long as they wait between two pings: a machine
                # that is busy for a second is not away.
                f"sentinel down-after-milliseconds {NAME} 3000",
                f"sentinel failover-timeout {NAME} 6000")

    @property
    def url(self):
        return "redis+sentinel://{}/{}".format(
            ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels), NAME)

    @property
    def master(self):
        """Whom all Sentinels name, if he is one."""
        named = {s.client.sentinel_get_master_addr_by_name(NAME)
                 for s in self.sentinels}
        for server in (self.first, self.second):
            if named == {("127.0.0.1", server.port)} \
               and server.role == "master":
                return server
        return None

    @property
    def replica(self):
        return self.second if self.master is self.first else self.first

    def wait_whole(self, master=None):
        """One master, one replica that has all he has, and Sentinels who
        know them and each other.  Returns the master."""
        def whole():
            here = self.master
            assert here and master in (None, here)
            assert here.client.info("replication")["connected_slaves"] == 1
            link = self.replica.client.info("replication")
            assert link["master_link_status"] == "up"
            for sentinel in self.sentinels:
                state = sentinel.client.sentinel_master(NAME)
                assert state["num-other-sentinels"] == 2
                assert state["num-slaves"] == 1
            assert here.client.wait(1, 1000) == 1
            return here
        return eventually(whole, 90, "a master, a replica, three Sentinels")

    def point_sentinels_at(self, server):
        """Sentinels who know nothing of the past, nor of the other one."""
        for sentinel in self.sentinels:
            sentinel.stop()
            sentinel.configure(*self._watch(server))
            sentinel.start()
