"""Orders on their way through SQS: accepting beside what the SQS server takes
at best, and the floor that blocking programs would be."""

from beside import Late
from bench import SECONDS
from web import at

LATE_MS = 20  # what AWS takes within a region
FULL = "full batches, 8 in flight"


def full(server):
    return f"{server}: {FULL}"


def round_of(bench, s, server, connections, floors):
    bench.add(full(server), s.loop("send", 2, 4, 10, SECONDS))
    for n in connections:
        bench.add(at(f"{server}: accept", n), bench.accept(s, n),
                  full(server))
    accepted = bench.last(at(f"{server}: accept", 256))["rate"]
    for processes in floors:
        add_floor(bench, s, one_by_one(server, processes), processes, accepted)
    s.purge()


def one_by_one(server, processes):
    return f"{server}: one by one, {processes} processes"


def add_floor(bench, s, name, processes, accepted):
    """What blocking programs send, beside what was accepted a second."""
    floor = bench.add(name, s.loop("send", processes, 1, 1, SECONDS))
    floor["accept_over_floor"] = accepted / floor["rate"]


def late(server, milliseconds, connections):
    return at(f"{server}: accept, {milliseconds} ms later", connections)


def late_round(bench, s, server, connections=1000):
    """The same when each answer takes longer, beside the same program in
    between that holds nothing back: it needs a share of the machine as
    well."""
    direct = s.env["SQS_ENDPOINT"]
    for milliseconds in (0, LATE_MS):
        with Late(direct, milliseconds) as way:
            s.set(AWS_ENDPOINT_URL_SQS=way.url)
            s.restart_responders()
            s.beside = way.parts
            accepted = bench.add(
                late(server, milliseconds, connections),
                bench.accept(s, connections),
                late(server, 0, connections) if milliseconds else None)
            if milliseconds:
                add_floor(bench, s,
                          f"{one_by_one(server, 2)}, {milliseconds} ms later",
                          2, accepted["rate"])
    s.beside = {}
    s.set(AWS_ENDPOINT_URL_SQS=direct)
    s.restart_responders()
