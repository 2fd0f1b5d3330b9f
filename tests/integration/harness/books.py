"""What MySQL holds, in plain values: UUIDs as text."""

import contextlib
import uuid

import pymysql
import pymysql.cursors


def _plain(value):
    if isinstance(value, bytes):
        if len(value) == 16:
            return str(uuid.UUID(bytes=value))
        return value.decode("utf-8", "replace")
    return value


class Books:
    """A connection per question, for the database may have gone between."""

    def __init__(self, env):
        self._where = {"unix_socket": env["MYSQL_SOCKET"],
                       "user": env["MYSQL_USER"],
                       "database": env["MYSQL_DATABASE"]}

    def ask(self, sql, *arguments):
        try:
            connection = pymysql.connect(
                **self._where, charset="utf8mb4", connect_timeout=5,
                autocommit=True,
                cursorclass=pymysql.cursors.DictCursor)
        except pymysql.err.OperationalError as error:
            raise ConnectionError(str(error)) from error
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            return [{k: _plain(v) for k, v in row.items()}
                    for row in cursor.fetchall()]

    def orders(self, sku, status="confirmed"):
        return self.ask("SELECT * FROM orders WHERE sku = %s AND status = %s",
                        sku, status)

    def ids(self, sku, status="confirmed"):
        return sorted(order["id"] for order in self.orders(sku, status))

    def units(self, sku):
        return sum(order["quantity"] for order in self.orders(sku))

    def sales(self, sku):
        """Oldest first."""
        return self.ask("SELECT * FROM sales WHERE sku = %s ORDER BY sale_id",
                        sku)

    def parked(self, message_id):
        return self.ask("SELECT * FROM parked WHERE message_id = %s",
                        message_id)

    @contextlib.contextmanager
    def refusing(self, user):
        """MySQL will not have the orders of this user."""
        self.ask("ALTER TABLE orders ADD CONSTRAINT no_such_user "
                 f"CHECK (user_id <> '{user}')")
        try:
            yield
        finally:
            self.ask("ALTER TABLE orders DROP CONSTRAINT no_such_user")
