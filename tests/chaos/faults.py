"""What can go wrong, by name.

A fault is a generator: what stands before its `yield` breaks something, it
yields for how many seconds, and what stands behind mends it again.  It gets
the Arena, the SKU on sale and random numbers of its own.  It returns False
when there was nothing to break (a failpoint that nobody passed).

Its declaration says what the documents allow while it is at work, in the
words of checker.py; without a word nothing is allowed, not even a failed
request.
"""

import collections
import contextlib
import shutil
import signal
import threading
import time

import pymysql

import network
from harness.wait import eventually

# Played where there are Sentinels; the other faults of Redis and of the way
# there are played where there is one Redis.
WITH_SENTINELS = "redis.failover"
WITHOUT_SENTINELS = ("redis.", "recovery.", "network.")

Fault = collections.namedtuple("Fault", "name strike allowed about")
FAULTS = {}


def fault(name, **allowed):
    def declare(strike):
        FAULTS[name] = Fault(name, strike, allowed, strike.__doc__)
        return strike
    return declare


def _failpoint(name, point, passes, **allowed):
    """A process kills itself at that point, after so many passes at most."""
    def strike(arena, sku, rng):
        arena.arm(point, "kill", rng.randint(1, passes))
        yield 1.5
        if arena.disarm(point):
            return False
        arena.killed += 1
        return True
    FAULTS[name] = Fault(name, strike, allowed, f"kill -9 at {point}")


# --- The responders ---

_failpoint("fcgi.reserved", "fcgi_reserved", 5, failures=True)
_failpoint("fcgi.acknowledged", "fcgi_acknowledged", 5, failures=True)
_failpoint("fcgi.replied", "fcgi_replied", 5, failures=True)


@fault("fcgi.killed", failures=True)
def fcgi_killed(arena, sku, rng):
    """kill -9 of the master and all responders."""
    arena.kill_all(arena.masters.family())
    yield 0.5


@fault("fcgi.master", failures=True)
def fcgi_master(arena, sku, rng):
    """kill -9 of the master alone: its responders finish and leave."""
    arena.kill_all([arena.masters.pid])
    yield 0.5


@fault("fcgi.forking", failures=True)
def fcgi_forking(arena, sku, rng):
    """kill -9 of the master while it replaces its children."""
    old, point = arena.masters.pid, rng.choice(("master_forking",
                                                "master_forked"))
    arena.arm(point, "kill", 2)
    arena.masters.reload()
    eventually(lambda: arena.masters.pid != old, 20, "a new master")
    arena.disarm(point)
    arena.killed += 1
    yield 0


@fault("fcgi.reload")
def fcgi_reload(arena, sku, rng):
    """SIGHUP, two in a row: new responders take over."""
    for _ in range(2):
        before = set(arena.masters.family()[1:])
        arena.masters.reload()
        eventually(lambda: not before & set(arena.masters.family()), 20,
                   "every responder replaced")
    yield 0


@fault("fcgi.restart")
def fcgi_restart(arena, sku, rng):
    """SIGTERM, then a new master, on the socket that systemd holds."""
    for _ in range(2):
        arena.masters.stop(signal.SIGTERM)
    yield 0


# --- The worker ---

_failpoint("worker.received", "worker_received", 2)
_failpoint("worker.written", "worker_written", 2)
_failpoint("worker.committed", "worker_committed", 2)
_failpoint("worker.deleted", "worker_deleted", 2)


@fault("keeper.killed")
def keeper_killed(arena, sku, rng):
    """SQS is away; when it is back the keeper sends what waited, and dies
    before it takes it out of the outbox."""
    arena.sqs.begin("keeper.killed", [_often("down", 1)], 1)
    time.sleep(1.2)
    arena.arm("keeper_acknowledged", "kill")
    arena.sqs.end("keeper.killed")
    yield 1.5
    if arena.disarm("keeper_acknowledged"):
        return False
    arena.killed += 1
    # Time that nobody has: the dead one's successor may begin.
    arena.ask_redis(lambda redis: [
        redis.delete(lease) for lease in redis.scan_iter("fs:*:keeper")])


@fault("worker.killed")
def worker_killed(arena, sku, rng):
    """kill -9 of the master and all its children."""
    arena.kill_all(arena.worker_family())
    yield 0.5


@fault("worker.restart")
def worker_restart(arena, sku, rng):
    """SIGTERM, then a new one."""
    arena.stack.sv("restart", "worker")
    yield 0


# --- Redis ---

@fault("redis.paused", failures=True)
def redis_paused(arena, sku, rng):
    """Redis answers nothing for three seconds."""
    arena.ask_redis(lambda redis: redis.execute_command(
        "CLIENT", "PAUSE", "3000", "ALL"))
    yield 3


@fault("redis.killed", failures=True)
def redis_killed(arena, sku, rng):
    """kill -9; its append-only file is kept."""
    arena.ask_redis(lambda redis: redis.ping())
    arena.stack.kill("redis")
    yield 0.5


@fault("redis.emptied", failures=True, lost=True)
def redis_emptied(arena, sku, rng):
    """kill -9, and it starts with nothing."""
    # The sale is told to MySQL first; what the operator did in the last
    # second may be forgotten, as the documents say.
    eventually(lambda: arena.stack.books.sales(sku), 20, "sale in MySQL")
    arena.stack.sv("kill", "redis")
    arena.stack.sv("down", "redis")
    shutil.rmtree(arena.stack.directory / "data/redis/appendonlydir")
    yield 0.3
    arena.stack.sv("up", "redis")


@fault("redis.older", failures=True, lost=True)
def redis_older(arena, sku, rng):
    """kill -9, and it starts with what it had a second before."""
    eventually(lambda: arena.stack.books.sales(sku), 20, "sale in MySQL")
    data = arena.stack.directory / "data/redis"
    copy = arena.directory / "redis-copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    time.sleep(0.8)
    arena.stack.sv("kill", "redis")
    arena.stack.sv("down", "redis")
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    yield 0.1
    arena.stack.sv("up", "redis")


@fault("redis.failover", failures=True, lost=True)
def redis_failover(arena, sku, rng):
    """The master is killed, and the Sentinels promote its replica; the old
    one comes back as a replica of that."""
    old = arena.group.wait_whole()
    eventually(lambda: arena.stack.books.sales(sku), 20, "sale in MySQL")
    old.kill()
    eventually(lambda: arena.group.master not in (None, old), 60,
               "another master")
    yield 0
    # The Sentinels would tell it so too, but take their time.
    old.start()
    old.client.replicaof("127.0.0.1", arena.group.master.port)


@fault("recovery.killed", failures=True, lost=True)
def recovery_killed(arena, sku, rng):
    """Redis starts with nothing, and who rebuilds it dies twice: before a
    sale is open again, and before the whole is."""
    for point in ("recovery_copied", "recovery_finished"):
        arena.arm(point, "kill")
    yield from redis_emptied(arena, sku, rng)
    for point in ("recovery_copied", "recovery_finished"):
        eventually(lambda: not (arena.points / point).exists(), 40,
                   f"{point} passed")
        arena.killed += 1
        arena.ask_redis(_end_rebuild_leases)


def _end_rebuild_leases(redis):
    """Thirty seconds that nobody has: the dead one's successor may begin."""
    for sku in redis.smembers("fs:sales"):
        sale = f"fs:{{{sku}}}:sale"
        if (redis.hget(sale, "epoch") or "").startswith("rebuilding"):
            redis.hset(sale, "rebuild_until", 0)


# --- SQS ---

@fault("sqs.killed")
def sqs_killed(arena, sku, rng):
    """It is gone for a moment, and then gives out again what it had given
    out before."""
    arena.stack.kill("sqs")
    yield 0.5


def _sqs(name, about, *definitions, **allowed):
    """While it lasts, calls fail in the ways of sqs_standin/faults.py."""
    def strike(arena, sku, rng):
        arena.sqs.begin(name, definitions, rng.randrange(10 ** 6))
        yield 1.5
        return arena.sqs.end(name) > 0
    FAULTS[name] = Fault(name, strike, allowed, about)


def _often(kind, probability, **parameters):
    return {"fault": kind, "probability": probability, **parameters}


_sqs("sqs.down", "every connection is broken", _often("down", 1))
_sqs("sqs.slow", "some calls take longer than their limit",
     _often("slow", 0.7, ms=200, jitter_ms=600))
_sqs("sqs.hanging", "some calls are never answered, taken or not",
     _often("hang", 0.2, ms=3000, taken=True),
     _often("hang", 0.2, ms=3000))
_sqs("sqs.throttling", "too many requests",
     _often("throttled", 0.3),
     _often("throttled", 0.3, code="RequestThrottled"))
_sqs("sqs.errors", "a proxy's pages", _often("error", 0.3),
     _often("error", 0.3, status=500))
_sqs("sqs.entries", "single entries of a batch fail, or are not mentioned",
     _often("entries_failed", 0.2),
     _often("entries_failed", 0.2, sender_fault=True),
     _often("entries_forgotten", 0.2),
     _often("entries_forgotten", 0.2, taken=False))
_sqs("sqs.twice", "messages come twice, even after they were deleted",
     _often("duplicate", 0.5, ms=50), _often("undelete", 0.3, ms=500))
_sqs("sqs.disorder", "messages come late and in another order",
     _often("reorder", 0.7), _often("delay", 0.3, ms=300, jitter_ms=600))
_sqs("sqs.md5", "answers carry the MD5 of something else",
     _often("wrong_md5", 0.4))
_sqs("sqs.broken", "calls are done, and their connection breaks",
     _often("broken_answer", 0.3))
_sqs("sqs.expired", "the token has expired", _often("expired_token", 0.4))
_sqs("sqs.skewed", "its clock is twenty minutes ahead", _often("skew", 0.5))


# --- MySQL ---

def _administrator(arena):
    return pymysql.connect(unix_socket=arena.stack.env["MYSQL_SOCKET"],
                           user="root", database="flashsale",
                           connect_timeout=5, autocommit=True)


def _administer(arena, *statements):
    def once():
        try:
            with _administrator(arena) as connection, \
                    connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except pymysql.err.Error as error:
            raise ConnectionError(str(error)) from error
        return True
    eventually(once, 30, f"MySQL takes {statements[0]}")


@fault("mysql.killed")
def mysql_killed(arena, sku, rng):
    """kill -9, and it starts again with its logs."""
    arena.stack.kill("mariadb")
    yield 0.5


@fault("mysql.readonly")
def mysql_readonly(arena, sku, rng):
    """read_only, as on a primary that is being demoted."""
    _administer(arena, "SET GLOBAL read_only = 1")
    yield 1.5
    _administer(arena, "SET GLOBAL read_only = 0")


@fault("mysql.full")
def mysql_full(arena, sku, rng):
    """Each insert fails as on a full disk: error 1114, raised by a trigger,
    for a disk that is really full would take the server's own files too."""
    _administer(arena, "CREATE OR REPLACE TRIGGER chaos_full "
                "BEFORE INSERT ON orders FOR EACH ROW SIGNAL SQLSTATE 'HY000'"
                " SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'disk is full'")
    yield 1.5
    _administer(arena, "DROP TRIGGER IF EXISTS chaos_full")


@contextlib.contextmanager
def _in_background(work):
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@fault("mysql.deadlock")
def mysql_deadlock(arena, sku, rng):
    """Somebody else locks the same rows in the opposite order, and has done
    more work, so that it is the engine who has to give way."""
    _administer(arena, "CREATE TABLE IF NOT EXISTS chaos_ballast (n INT)")

    def contend(over):
        while not over.is_set():
            try:
                with _administrator(arena) as connection, \
                        connection.cursor() as cursor:
                    cursor.execute("SET innodb_lock_wait_timeout = 1")
                    cursor.execute("BEGIN")
                    cursor.execute("INSERT INTO chaos_ballast VALUES "
                                   + ",".join(["(1)"] * 500))
                    cursor.execute("SELECT id FROM orders FORCE INDEX (sale) "
                                   "FOR UPDATE")
                    time.sleep(0.1)
                    cursor.execute("SELECT * FROM sales FOR UPDATE")
                    cursor.execute("ROLLBACK")
            except pymysql.err.Error:
                pass
            over.wait(0.1)
    with _in_background(contend):
        yield 1.5


@fault("mysql.refuses", dead=True)
def mysql_refuses(arena, sku, rng):
    """It will not have the orders of some buyers, whatever comes: for ever,
    or a message that comes again would be taken after all, and who bought the
    unit meanwhile be rejected."""
    _administer(arena, f"""CREATE OR REPLACE TRIGGER chaos_refuses
        BEFORE INSERT ON orders FOR EACH ROW
        IF NEW.sku = '{sku}' AND NEW.user_id LIKE '%{rng.randint(0, 9)}' THEN
            SIGNAL SQLSTATE '22001' SET MYSQL_ERRNO = 1406;
        END IF""")
    yield 0


# --- The network ---

if network.is_possible():
    @fault("network.cut")
    def network_cut(arena, sku, rng):
        """The worker and MySQL are cut off from Redis and SQS."""
        arena.network.cut()
        yield 2
        arena.network.mend()


# --- The clock ---

@fault("clock.jumps")
def clock_jumps(arena, sku, rng):
    """The programs' clocks go an hour ahead, then ten minutes back."""
    arena.set_clock(3600)
    time.sleep(1.2)
    arena.set_clock(-600)
    yield 1.2
    arena.set_clock(0)


# --- The operator ---

def _cli(arena, *arguments):
    return lambda: arena.stack.cli(*arguments).returncode == 0


@fault("sale.paused")
def sale_paused(arena, sku, rng):
    """The operator pauses the sale, and resumes it."""
    if not _cli(arena, "pause", sku)():
        return False
    yield 0.5
    eventually(_cli(arena, "resume", sku), 60, "resumed")


@fault("sale.reset")
def sale_reset(arena, sku, rng):
    """The operator starts the sale anew, with other stock."""
    reply = arena.stack.web.reset(sku, rng.randint(50, 200))
    yield 0
    return reply.status == 200
