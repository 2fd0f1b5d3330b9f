"""What is seen while a sale is rebuilt, and afterwards."""

from .wait import eventually


def recovering(reply):
    """The reply, if it says so.  One responder may have reached Redis while
    the next one still says that it cannot."""
    return reply if reply.code == "recovering" else None


def wait_rebuilt(stack, sku, timeout=60):
    """Until then, nothing but "recovering" is heard."""
    def rebuilt():
        reply = stack.web.get(f"/stock/{sku}")
        if reply.status == 200 and reply.json["status"] != "recovering":
            return True
        assert reply.status == 200 or reply.code in (
            "recovering", "unavailable"), reply
        return False
    eventually(rebuilt, timeout, f"{sku} rebuilt")


def assert_books(stack, sku, ids, total):
    """These orders and no others are confirmed, and what remains is what
    they have left."""
    stack.wait_settled(sku, ids)
    stock = stack.web.stock(sku)
    assert stock["remaining"] == total - stack.books.units(sku), stock
    assert_confirmed(stack, sku)


def assert_confirmed(stack, sku):
    """What the dashboard is told MySQL has, it has."""
    eventually(lambda: int(stack.redis.hget(f"fs:{{{sku}}}:sale", "confirmed")
                           or 0) == sum(
        int(value.split(" ")[1]) for value in
        stack.redis.hvals(f"fs:{{{sku}}}:orders")
        if value.startswith("confirmed ")), 10)
