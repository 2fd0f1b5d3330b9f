"""Damaged data and the scripts of lua/, against a Redis of their own.

Redis does not roll back, so a script that fails in its middle leaves half of
its work: a unit without an order, or a state that nobody is told of.  Each
script meets each damage of one table, and either does all of its work or
fails having written nothing."""

import pathlib
import subprocess
import uuid

import pytest
import redis

from harness.wait import eventually

SCRIPTS = pathlib.Path(__file__, "../../../lua").resolve()
SKU = "bike"
SALE_ID = "01890000-0000-7000-8000-000000000001"
EPOCH = "here"
KEYS = ("sale", "buyers", "requests", "orders", "orders:previous", "outbox",
        "gates")
RESERVED, QUEUED, CONFIRMED, REJECTED = (str(uuid.UUID(int=n))
                                         for n in range(1, 5))


def key(what):
    return f"fs:{{{SKU}}}:{what}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("redis") / "socket"
    with subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path,
                           "--save", "", "--dir", path.parent],
                          stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(unix_socket_path=str(path), decode_responses=True)
        try:
            eventually(lambda: path.exists() and client.ping())
            yield client
        finally:
            process.terminate()


@pytest.fixture
def store(server):
    """A Redis with a sale of 10 units in which much has happened."""
    server.flushall()
    server.hset(key("sale"), mapping={
        "sale_id": SALE_ID, "revision": 1, "name": "A bike", "total": 10,
        "remaining": 6, "limit": 2, "opens_at": 0, "closes_at": 0,
        "price": 100, "currency": "EUR", "state": "open", "created_at": 1,
        "epoch": EPOCH, "confirmed": 1})
    server.hset(key("buyers"), mapping={"ann": 1, "bob": 2, "cat": 1})
    server.hset(key("requests"), "ann k", RESERVED)
    server.hset(key("orders"), mapping={
        RESERVED: "reserved 1 ann", QUEUED: "queued 2 bob",
        CONFIRMED: "confirmed 1 cat", REJECTED: "rejected 1 dan"})
    server.xadd(key("outbox"), entry(RESERVED, "ann"))
    return server


def entry(order, user, **fields):
    return {"type": "order", "order_id": order, "sale_id": SALE_ID,
            "revision": 1, "total": 10, "user": user, "quantity": 1,
            "price": 100, "currency": "EUR", "request_key": "",
            "reserved_at": 1, **fields}


def run(store, script, keys, *arguments):
    source = (SCRIPTS / f"{script}.lua").read_text()
    return store.eval(source, len(keys), *map(key, keys), *arguments)


def everything(store):
    """All that is in Redis, whatever its type."""
    return {name: store.dump(name) for name in store.keys()}


# --- settle.lua ---

def settle(store, *verdicts, entry_id=""):
    """verdicts: order, verdict, order, verdict..."""
    triples = [word for n in range(0, len(verdicts), 2)
               for word in (*verdicts[n:n + 2], entry_id)]
    return run(store, "settle", ("sale", "buyers", "orders",
                                 "orders:previous", "outbox"), *triples)


def remaining(store):
    return int(store.hget(key("sale"), "remaining"))


@pytest.mark.parametrize("held", ["some", 2**63 - 1, ""])
def test_a_damaged_buyer_gets_his_units_back_once(store, held):
    """And holds up nobody behind him."""
    store.hset(key("buyers"), "ann", held)
    for _ in range(3):
        assert settle(store, RESERVED, "dead", QUEUED, "confirmed") == 2
    assert remaining(store) == 7
    assert store.hget(key("orders"), RESERVED) == "rejected 1 ann"
    assert store.hget(key("orders"), QUEUED) == "confirmed 2 bob"
    assert store.hget(key("sale"), "confirmed") == "3"


@pytest.mark.parametrize("field", ["remaining", "confirmed"])
def test_a_damaged_sum_holds_no_verdict_up(store, field):
    store.hset(key("sale"), field, "many")
    assert settle(store, RESERVED, "dead", QUEUED, "confirmed",
                  REJECTED, "confirmed") == 3
    assert store.hvals(key("orders")) == [
        "rejected 1 ann", "confirmed 2 bob", "confirmed 1 cat",
        "confirmed 1 dan"]
    assert store.hget(key("sale"), field) == "many"
    assert "ann" not in store.hgetall(key("buyers"))


def test_a_damaged_order_puts_nothing_on_sale(store):
    store.hset(key("orders"), RESERVED, "reserved 900000000000000000 ann")
    settle(store, RESERVED, "dead")
    assert remaining(store) == 6


def test_no_sale_is_made_by_a_verdict(store):
    """Else its next opening would find one."""
    store.delete(key("sale"))
    assert settle(store, QUEUED, "confirmed", RESERVED, "dead") == 2
    assert not store.exists(key("sale"))
    assert store.hget(key("orders"), QUEUED) == "confirmed 2 bob"
    assert store.hget(key("buyers"), "ann") == "1"


# --- rebuild.lua ---

REBUILD = ("sale", "buyers", "requests", "orders", "outbox")
TOKEN = "me"
NEW_EPOCH = "there"


def definition(**terms):
    """What MySQL knows of the sale, as lib/rebuild.c tells it."""
    return {"sale_id": SALE_ID, "revision": 1, "total": 10, "name": "A bike",
            "limit": 2, "opens_at": 0, "closes_at": 0, "price": 100,
            "currency": "EUR", "created_at": 1, "state": "open", **terms}


def begin(store, known=None):
    return run(store, "rebuild", REBUILD, "begin", TOKEN, NEW_EPOCH, 30000,
               *(known or {}).values())


def rebuild(store, known, orders=()):
    """Returns the first answer that is not ok, or the last.  orders: (id,
    status, quantity, user, key)."""
    answer = begin(store, known)
    for order in orders:
        if answer[0] == "ok":
            answer = run(store, "rebuild", REBUILD, "add", TOKEN, 30000,
                         *order)
    return answer if answer[0] != "ok" else run(
        store, "rebuild", REBUILD, "finish", TOKEN, NEW_EPOCH)


def test_damaged_orders_become_what_mysql_has(store):
    store.hset(key("orders"), mapping={
        RESERVED: "rubbish", QUEUED: "queued 9" + 20 * "0" + " bob",
        CONFIRMED: "confirmed  cat", REJECTED: ""})
    store.delete(key("outbox"))
    answer = rebuild(store, definition(), [
        (RESERVED, "confirmed", 1, "ann", "k"),
        (QUEUED, "confirmed", 2, "bob", ""),
        (CONFIRMED, "rejected", 1, "cat", ""),
        (REJECTED, "dead", 1, "dan", "")])
    assert answer == ["ok", "7"]
    assert store.hgetall(key("orders")) == {
        RESERVED: "confirmed 1 ann", QUEUED: "confirmed 2 bob",
        CONFIRMED: "rejected 1 cat", REJECTED: "rejected 1 dan"}
    assert store.hgetall(key("buyers")) == {"ann": "1", "bob": "2"}
    assert store.hget(key("sale"), "confirmed") == "3"


@pytest.mark.parametrize("lacking", ["user", "quantity", "order_id",
                                     "request_key"])
def test_a_damaged_outbox_entry_is_passed_over(store, lacking):
    other, = (str(uuid.UUID(int=9)),)
    damaged = entry(other, "eve")
    del damaged[lacking]
    store.xadd(key("outbox"), damaged)
    store.xadd(key("outbox"), entry(str(uuid.UUID(int=10)), "fay"))
    taken = 1 if lacking == "request_key" else 0
    assert begin(store, definition()) == [
        "ok", str(5 - taken), SALE_ID, 1 - taken, ""]


DEFINITION = [field for field in definition()
              if field not in ("sale_id", "state")]


@pytest.mark.parametrize("damage", ["hdel", "rubbish"])
@pytest.mark.parametrize("field", [*DEFINITION, "remaining", "state"])
def test_a_damaged_sale_is_rebuilt_though_it_is_here(store, field, damage):
    if damage == "hdel":
        store.hdel(key("sale"), field)
    elif field in ("name", "currency"):
        store.hset(key("sale"), field, "")
    else:
        store.hset(key("sale"), field, "9" * 30)
    store.hset(key("sale"), "epoch", NEW_EPOCH)
    assert rebuild(store, definition()) == ["ok", "6"]
    sale = store.hgetall(key("sale"))
    assert sale.items() >= {
        **{k: str(v) for k, v in definition().items()},
        "remaining": "6", "epoch": NEW_EPOCH}.items()
    assert rebuild(store, definition()) == ["fresh"]


@pytest.mark.parametrize("sale_id", [None, "", "z" * 36])
def test_a_sale_without_its_id_is_rebuilt_from_mysql(store, sale_id):
    store.hset(key("sale"), "epoch", NEW_EPOCH)
    store.hdel(key("sale"), "sale_id")
    if sale_id is not None:
        store.hset(key("sale"), "sale_id", sale_id)
    assert begin(store) == ["damaged"]
    assert rebuild(store, definition(),
                   [(QUEUED, "confirmed", 2, "bob", "")]) == ["ok", "7"]
    assert store.hget(key("sale"), "sale_id") == SALE_ID


def test_what_mysql_does_not_know_yet_survives_a_mending(store):
    """A pause that is still in the outbox."""
    store.hset(key("sale"), mapping={
        "state": "paused", "revision": 2, "limit": "rubbish"})
    assert rebuild(store, definition()) == ["ok", "6"]
    assert store.hmget(key("sale"), "state", "revision", "limit") == [
        "paused", "2", "2"]


def test_what_nobody_else_knows_is_not_made_up(store):
    store.hdel(key("sale"), "total")
    before = everything(store)
    assert begin(store) == ["damaged"]
    assert everything(store) == before


@pytest.mark.parametrize("field", ["rebuild_until", "revision"])
def test_a_damaged_rebuild_goes_on(store, field):
    store.hset(key("sale"), mapping={field: "soon", "epoch": "rebuilding x"})
    assert rebuild(store, definition()) == ["ok", "6"]


# --- A sale without its definition ---

def undefined():
    return definition(name=SKU, limit="", state="paused")


OPEN = ("sale", "buyers", "requests", "orders", "orders:previous", "outbox")
OPTIONS = {"name": "A bike", "limit": 2, "opens_at": 0, "closes_at": 0,
           "price": "", "currency": ""}
NEXT_ID = "01890000-0000-7000-8000-000000000002"


def reset(store, mode="reset", **options):
    options = {**dict.fromkeys(OPTIONS, ""), **options}
    return run(store, "open", OPEN, mode, NEXT_ID, 10, SKU, *options.values(),
               EPOCH)


def set_state(store, state):
    return run(store, "state", ("sale", "outbox"), state)


def test_a_sale_without_its_definition_cannot_be_resumed(store):
    store.flushall()
    assert begin(store, undefined())[4] == "0"
    assert rebuild(store, undefined())[0] == "ok"
    before = everything(store)
    for state in ("open", "closed"):
        assert set_state(store, state) == "undefined"
    for option in ("name", "limit", "opens_at", "closes_at"):
        assert reset(store, **{**OPTIONS, option: ""}) == ["undefined"]
    assert everything(store) == before
    assert reset(store, **OPTIONS)[8:11] == ["0", "100", "EUR"]
    assert set_state(store, "paused") == "ok"


def test_the_definition_that_came_after_all_is_taken(store):
    store.flushall()
    rebuild(store, undefined())
    assert rebuild(store, undefined()) == ["fresh"]
    assert rebuild(store, definition())[0] == "ok"
    assert store.hmget(key("sale"), "limit", "state", "defined") == [
        "2", "open", None]


def test_a_definition_that_only_redis_has_stays(store):
    assert begin(store, undefined())[4] == ""
    assert store.hmget(key("sale"), "limit", "name", "state") == [
        "2", "A bike", "open"]


@pytest.mark.parametrize("sale_id", ["rubbish", "z" * 36, "-" * 36, ""])
def test_a_reset_ends_a_damaged_sale(store, sale_id):
    store.hset(key("sale"), "sale_id", sale_id)
    assert reset(store)[2] == NEXT_ID


@pytest.mark.parametrize("option", ["limit", "opens_at", "closes_at", "price"])
def test_a_reset_keeps_no_rubbish(store, option):
    store.hset(key("sale"), option, "rubbish")
    before = everything(store)
    assert reset(store) == ["undefined"]
    assert everything(store) == before
    assert reset(store, **{option: 7})[0] == "ok"


# --- Every script, every damage ---

def lack(what, field):
    return f"{what} lacks {field}", lambda s: s.hdel(key(what), field)


def garble(what, field):
    return (f"{what} has a damaged {field}",
            lambda s: s.hset(key(what), field, "rubbish"))


def retype(what):
    return (f"{what} is a string",
            lambda s: s.set(key(what), "no such type"))


SALE = ("sale_id", "revision", "name", "total", "remaining", "limit",
        "opens_at", "closes_at", "price", "currency", "state", "created_at",
        "epoch", "confirmed")
DAMAGES = dict([retype(what) for what in KEYS]
               + [lack("sale", field) for field in SALE]
               + [garble("sale", field) for field in SALE]
               + [garble("buyers", "ann"), garble("orders", RESERVED),
                  garble("requests", "ann k")])
CALLS = {
    "reserve": lambda s: run(
        s, "reserve", KEYS[:4] + KEYS[5:], "", str(uuid.uuid4()), "eve", 1,
        "k", str(uuid.uuid4()), "ann", 1, ""),
    "queued": lambda s: run(
        s, "queued", ("orders", "orders:previous", "outbox"),
        "1-1", RESERVED, "1-2", str(uuid.uuid4())),
    "take": lambda s: run(s, "take", ("outbox",), 10, 1000),
    "settle": lambda s: settle(s, QUEUED, "confirmed", RESERVED, "dead"),
    "settle and take out": lambda s: settle(
        s, QUEUED, "confirmed", str(uuid.uuid4()), "dead", entry_id="1-1"),
    "open": lambda s: reset(s, "new"),
    "reset": reset,
    "pause": lambda s: set_state(s, "paused"),
    "adopt": lambda s: mend(s, "adopt", str(uuid.UUID(int=9)), "confirmed",
                            1, "eve", "k"),
    "resend": lambda s: mend(s, "resend", RESERVED, "k", 1),
    "remember": lambda s: mend(s, "remember", QUEUED, "bob", "k"),
    "forget": lambda s: mend(s, "forget", REJECTED, "dan", "k"),
    "mend stock": lambda s: mend(s, "sum", 0, "", 1, 7),
    "mend buyer": lambda s: mend(s, "sum", 0, "bob", -1, 1),
    "begin": lambda s: begin(s, definition()),
    "shut": lambda s: run(s, "gate", ("sale", "gates"), "shut", "g", 1500, ""),
    "lift": lambda s: run(s, "gate", ("sale", "gates"), "lift", "g", 1500, ""),
}


def mend(store, *arguments):
    return run(store, "mend", REBUILD, SALE_ID, "", *arguments)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_script_fails_before_its_first_write(store, call, damage):
    DAMAGES[damage](store)
    before = everything(store)
    try:
        CALLS[call](store)
    except redis.ResponseError:
        assert everything(store) == before
