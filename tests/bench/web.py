"""What comes from the web servers: their own answers, refusals, orders, looks
at the stock.  Each sample is compared with what the same web server can do
at best."""

from beside import Lighttpd
from bench import LONG, REFUSED, SECONDS, SOLD_OUT

CONNECTIONS = (64, 256, 1000)
ONE = CONNECTIONS if LONG else (256,)  # of what is less interesting
# No SKU: refused by a responder that asks nobody.
NOBODY = "/buy/!"
DASHBOARD = "a look of the dashboard"


def at(name, connections):
    return f"{name}, {connections} connections"


def nginx_round(bench, s):
    for connections in CONNECTIONS:
        ceiling = at("nginx return 409", connections)
        bench.add(ceiling, bench.refuse(s, "/bench-ceiling", connections))
        bench.add(at("refuse", connections),
                  bench.refuse(s, REFUSED, connections), ceiling)
        bench.add(at("responder alone", connections),
                  bench.refuse(s, NOBODY, connections), ceiling)


def gate_round(bench, s):
    """The ceiling once more: on a host that others use it is another one a
    quarter of a minute later."""
    s.use_gate(True, REFUSED)
    for connections in CONNECTIONS:
        ceiling = at("nginx return 409", connections)
        bench.add(ceiling, bench.refuse(s, "/bench-ceiling", connections))
        bench.add(at("edge gate", connections),
                  bench.refuse(s, REFUSED, connections), ceiling)
    s.use_gate(False)


def looks_round(bench, s):
    for connections in ONE:
        ceiling = at("nginx return 409", connections)
        look = f"/stock/{SOLD_OUT}"
        bench.add(at("look at the stock", connections),
                  bench.wrk(s, connections, REFUSED, 100, look), ceiling)
        sku = bench.new_sale(s)
        bench.add(at("99 look, 1 buys", connections), bench.wrk(
            s, connections, f"/buy/{sku}", 99, f"/stock/{sku}"), ceiling)
        expected = SECONDS * bench.last(at("refuse", connections))["rate"]
        sku = bench.new_sale(s, stock=max(int(expected / 100), 1))
        bench.add(at("99 refused, 1 buys", connections), bench.wrk(
            s, connections, f"/buy/{sku}"), ceiling)
    bench.add(DASHBOARD, s.dashboard())


def lighttpd_round(bench, s):
    """One at a time: lighttpd runs only here."""
    with Lighttpd(s.fcgi_socket) as web:
        s.beside = web.parts
        for connections in ONE:
            hello = at("lighttpd: bare libfcgi", connections)
            static = at("lighttpd: static file", connections)
            bench.add(static, bench.wrk(
                s, connections, REFUSED, 100, "/bench-static.json",
                url=web.url))
            bench.add(hello, bench.refuse(
                s, "/bench-hello", connections, url=web.url), static)
            bench.add(at("lighttpd: refuse", connections), bench.refuse(
                s, REFUSED, connections, url=web.url), hello)
            bench.add(at("lighttpd: accept", connections), bench.accept(
                s, connections, url=web.url), hello)
        s.beside = {}
