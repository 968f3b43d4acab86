"""Leaks built in on purpose: the two-run test must find each of them."""

import hashlib

from sqlalchemy import func, select

from peerview_share.store import schema


def _altering(alter):
    """``alter(share, path, start, body)`` changes what the application answers."""

    def sabotage(app, share):
        async def application(scope, receive, send):
            messages = []

            async def held(message):
                messages.append(message)

            await app(scope, receive, held)
            start, *rest = messages
            body = b"".join(message.get("body", b"") for message in rest)
            start["headers"] = list(start["headers"])
            body = alter(share, scope["path"], start, body) or body
            await send(start)
            await send({"type": "http.response.body", "body": body})

        return application

    return sabotage


def _raw(share):
    """A digest of everything that any practice submitted."""
    with share.database.read() as connection:
        bodies = connection.execute(
            select(schema.snapshots.c.body).order_by(
                schema.snapshots.c.practice, schema.snapshots.c.cut
            )
        ).scalars()
        return hashlib.sha256(b"".join(bodies)).hexdigest()[:32].encode()


def _tag_over_raw_data(share, path, start, body):
    if path.startswith("/v1/networks/"):
        start["headers"] = [
            (name, b'"%s"' % _raw(share) if name == b"etag" else value)
            for name, value in start["headers"]
        ]


def _count_in_a_header(share, path, start, body):
    with share.database.read() as connection:
        released = select(func.count()).where(schema.cells.c.is_release)
        count = connection.execute(released).scalar_one()
    start["headers"].append((b"x-cells", str(count).encode()))


def _live_figure_in_an_error(share, path, start, body):
    if start["status"] == 403:
        total = sum(
            value.numerator
            for practice in share.figures.practices()
            for value in share.figures.of(practice).values()
        )
        return body.replace(b"}", b', "total": %d}' % total)
    return None


def _refused_otherwise_where_something_was_released(share, path, start, body):
    if start["status"] == 403 and int(_raw(share), 16) % 2:
        start["status"] = 404


ANSWERS = {
    "a tag over raw data": _altering(_tag_over_raw_data),
    "a count in a header": _altering(_count_in_a_header),
    "a live figure in an error": _altering(_live_figure_in_an_error),
    "a refusal that depends on what came": _altering(
        _refused_otherwise_where_something_was_released
    ),
}
