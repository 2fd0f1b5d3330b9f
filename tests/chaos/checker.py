"""The judge of a round: did the promise hold?

A pure function of what the buyers saw (the history) and what was left when
everything was over (the books).  It talks to nobody and shares no code with
the engine; what it knows of the engine is docs/protocol.md, docs/messages.md
and the tables and keys of docs/architecture.md.

The history is a list of attempts, one for each request to buy that was sent:

    sku, user, key, quantity   what was asked for
    sent, answered             seconds, by one clock; answered is None when
                               there was no answer
    status, code               of the HTTP answer, and of a refusal
    order, state               of a 202

The books are a dictionary:

    sku, drained    drained: "" or what is still moving after all the waiting
    sales, orders   rows of MySQL, oldest sale first; orders of this SKU
    parked          rows of MySQL, with the order's id as order
    redis           sale, buyers, requests, orders (hashes), outbox (a list)
    queues          messages left, {"orders": 0, "dead": 0}
    acknowledged    order ids that SQS ever acknowledged
    bad_signatures  requests that SQS refused for a wrong signature, not for
                    a wrong clock
    seen            order id -> status at GET /orders, None for a 404
    last            the attempt of a fresh buyer after everything was over;
                    left_before: what remained before it.  None: not tried
    processes       sentences about processes that died by themselves

What the documents allow is said by the round itself, as `allowed`:

    lost            Redis forgot: an order that was never more than "reserved"
                    may be gone
    rejected        two Redis sold at once: MySQL may have refused the surplus
    failures        requests may fail (503, no answer) while faults last
    dead            MySQL refuses some orders for good: they may be parked,
                    and are then rejected for their buyers
"""

import collections

NOTHING_ALLOWED = {"lost": False, "rejected": False, "failures": False,
                   "dead": False}

# A request may be answered so; anything else is a bug of the engine.
ANSWERS = {202: {None},
           409: {"sold_out", "limit_reached", "not_open", "closed", "paused"},
           503: {"unavailable", "recovering"}}
# What the web server itself says when nobody answers it.
BROKEN = {500, 502, 504}


def _accepted(history):
    """order id -> the attempts that were told of it."""
    told = collections.defaultdict(list)
    for attempt in history:
        if attempt["status"] == 202:
            told[attempt["order"]].append(attempt)
    return told


def _by_sale(books):
    """sale id -> its confirmed orders."""
    sales = {sale["sale_id"]: [] for sale in books["sales"]}
    for order in books["orders"]:
        if order["status"] == "confirmed":
            sales.setdefault(order["sale_id"], []).append(order)
    return sales


def _dead(books, allowed):
    """Orders that were given up, and whose buyers were told so."""
    rows = {order["id"] for order in books["orders"]}
    return {row["order"] for row in books["parked"]
            if allowed["dead"]} - rows - {None}


def _units(orders):
    return sum(order["quantity"] for order in orders)


# --- Each rule yields a sentence for every violation ---

def _everything_came_to_rest(history, books, allowed):
    if books["drained"]:
        yield f"not drained: {books['drained']}"
    for name, depth in books["queues"].items():
        if depth:
            yield f"{depth} messages are left in the queue of {name}"
    if books["redis"]["outbox"]:
        yield f"{len(books['redis']['outbox'])} entries are in the outbox"
    for sentence in books["processes"]:
        yield f"a process died by itself: {sentence}"


def _never_oversold(history, books, allowed):
    totals = {sale["sale_id"]: sale for sale in books["sales"]}
    for sale_id, orders in _by_sale(books).items():
        if sale_id not in totals:
            yield f"sale {sale_id} has orders and no row"
            continue
        sale, units = totals[sale_id], _units(orders)
        if units > sale["total"]:
            yield (f"oversold: sale {sale_id} has {sale['total']} units and "
                   f"{units} are confirmed")
        if units != sale["sold"]:
            yield (f"sale {sale_id} counts {sale['sold']} sold units, its "
                   f"orders {units}")


def _nobody_lost_an_order(history, books, allowed):
    rows = {order["id"]: order for order in books["orders"]}
    for order, attempts in _accepted(history).items():
        row = rows.get(order)
        who = f"order {order} of {attempts[0]['user']}"
        if order in _dead(books, allowed):
            continue
        if row is None:
            reserved = {a["state"] for a in attempts} == {"reserved"}
            if not (allowed["lost"] and reserved):
                yield f"lost: {who} was told 202 and is not in MySQL"
        elif row["status"] != "confirmed" and not (
                row["status"] == "rejected" and allowed["rejected"]):
            yield (f"lost: {who} was told 202 and is {row['status']} "
                   f"({row['status_reason']})")


def _every_order_was_asked_for(history, books, allowed):
    asked = {(a["user"], a["key"], a["quantity"]) for a in history}
    times = collections.Counter(order["id"] for order in books["orders"])
    for order in books["orders"]:
        wanted = (order["user_id"], order["request_key"], order["quantity"])
        if wanted not in asked:
            yield f"invented: nobody asked for order {order['id']} {wanted}"
    for order, n in times.items():
        if n > 1:
            yield f"duplicated: order {order} is in MySQL {n} times"
    for order, attempts in _accepted(history).items():
        whose = {(a["user"], a["key"], a["quantity"]) for a in attempts}
        if len(whose) > 1:
            yield f"order {order} was given to several: {sorted(whose)}"


def _one_order_a_request(history, books, allowed):
    orders = collections.defaultdict(set)
    for order in books["orders"]:
        if order["status"] == "confirmed":
            orders[order["sale_id"], order["user_id"],
                   order["request_key"]].add(order["id"])
    for (_, user, key), ids in orders.items():
        if len(ids) > 1:
            yield f"duplicated: {user} has {sorted(ids)} for one key {key}"


def _nobody_is_over_the_limit(history, books, allowed):
    for sale in books["sales"]:
        held = collections.Counter()
        for order in _by_sale(books)[sale["sale_id"]]:
            held[order["user_id"]] += order["quantity"]
        limit = sale["limit_per_user"]
        for user, units in held.items():
            if limit and units > limit:
                yield f"over the limit: {user} holds {units} of {limit}"


def _no_unit_is_stranded_or_invented(history, books, allowed):
    """remaining + live = total, in the sale that is running."""
    sale = books["redis"]["sale"]
    if not sale:
        yield "Redis has no sale"
        return
    live = _by_sale(books).get(sale["sale_id"], [])
    total, remaining = int(sale["total"]), int(sale["remaining"])
    if remaining + _units(live) != total:
        what = "stranded" if remaining + _units(live) < total else "invented"
        yield (f"units {what}: {remaining} remain and {_units(live)} are "
               f"sold of {total}")
    held = collections.Counter()
    for order in live:
        held[order["user_id"]] += order["quantity"]
    here = {user: int(units) for user, units in
            books["redis"]["buyers"].items() if int(units)}
    for user in sorted(held.keys() | here.keys()):
        if held[user] != here.get(user, 0):
            yield (f"Redis says that {user} holds {here.get(user, 0)} units, "
                   f"MySQL {held[user]}")


def _sold_out_could_be_true(history, books, allowed):
    """Units may be gone only to who had asked by then; and what remains in
    the end can be bought."""
    if len(books["sales"]) == 1:
        total = books["sales"][0]["total"]
        asked = sorted(_first_attempts(history), key=lambda a: a["sent"])
        for attempt in history:
            if attempt["code"] != "sold_out":
                continue
            before = sum(a["quantity"] for a in asked
                         if a["sent"] < attempt["answered"]
                         and (a["user"], a["key"])
                         != (attempt["user"], attempt["key"]))
            if before + attempt["quantity"] <= total:
                yield (f"{attempt['user']} was told sold_out when at most "
                       f"{before} of {total} units could be gone")
    last = books["last"]
    if last is not None and last["left_before"] > 0 and last["status"] != 202:
        yield (f"{last['left_before']} units remain in the end, and a fresh "
               f"buyer hears {last['status']} {last['code']}")


def _first_attempts(history):
    seen = set()
    for attempt in history:
        request = attempt["user"], attempt["key"]
        if request not in seen:
            seen.add(request)
            yield attempt


def _everybody_hears_the_same(history, books, allowed):
    rows = {order["id"]: order["status"] for order in books["orders"]}
    rows.update(dict.fromkeys(_dead(books, allowed), "rejected"))
    newest = books["redis"]["sale"].get("sale_id")
    sale_of = {order["id"]: order["sale_id"] for order in books["orders"]}
    for order, status in books["seen"].items():
        truth = rows.get(order)
        if status is None and sale_of.get(order) != newest:
            continue    # of a sale before: MySQL has it
        if truth is not None and status != truth:
            yield (f"GET /orders says {status} of order {order}, MySQL "
                   f"{truth}")
    for order, text in books["redis"]["orders"].items():
        state = text.split(" ")[0]
        if rows.get(order) != state:
            yield f"Redis says {state} of order {order}, MySQL " \
                  f"{rows.get(order)}"


def _queue_and_database_agree(history, books, allowed):
    rows = {order["id"] for order in books["orders"]}
    for order in sorted(set(books["acknowledged"]) - rows
                        - _dead(books, allowed)):
        yield f"SQS acknowledged order {order} and it is not in MySQL"
    for row in books["parked"]:
        if not (allowed["dead"] and row["order"]):
            yield f"parked: {row['message_id']}: {row['reason']}"
    if books["bad_signatures"]:
        yield f"SQS refused {books['bad_signatures']} signatures"


def _answers_are_those_of_the_protocol(history, books, allowed):
    for attempt in history:
        status, code = attempt["status"], attempt["code"]
        who = f"{attempt['user']} at {attempt['sent']:.2f} s"
        failed = status is None or status == 503 or status in BROKEN
        if failed and not attempt.get("left") and not allowed["failures"]:
            yield f"failed: {who} got {status} {code or ''}"
        elif status in ANSWERS and code in ANSWERS[status]:
            continue
        elif status is not None and status not in BROKEN:
            yield f"{who} got an answer that does not exist: {status} {code}"


RULES = (_everything_came_to_rest, _never_oversold, _nobody_lost_an_order,
         _every_order_was_asked_for, _one_order_a_request,
         _nobody_is_over_the_limit, _no_unit_is_stranded_or_invented,
         _sold_out_could_be_true, _everybody_hears_the_same,
         _queue_and_database_agree, _answers_are_those_of_the_protocol)


def judge(history, books, allowed=None):
    """Sentences about all that is wrong; an empty list: the books balance."""
    allowed = {**NOTHING_ALLOWED, **(allowed or {})}
    return [sentence for rule in RULES
            for sentence in rule(history, books, allowed)]
