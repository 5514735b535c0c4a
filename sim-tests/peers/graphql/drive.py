"""Drives the example server of wavetank-graphql with Python's `gql`: drive.py URL. Exits with 0 if all went as it must."""

import asyncio
import sys

from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport


async def collect(session, query):
    return [result async for result in session.subscribe(gql(query))]


async def main(url):
    transport = WebsocketsTransport(url=url, subprotocols=["graphql-transport-ws"])
    async with Client(transport=transport) as session:
        assert await session.execute(gql("{ hello }")) == {"hello": "world"}
        print("  ok: a query")
        try:
            await session.execute(gql("{ nope }"))
            raise AssertionError("an unknown field passed")
        except TransportQueryError as error:
            assert "nope" in str(error), error
        print("  ok: a request that fails validation is an error")
        counts = await collect(session, "subscription { count(to: 3, everyMs: 5) }")
        assert counts == [{"count": 1}, {"count": 2}, {"count": 3}], counts
        print("  ok: a subscription ends by itself")
        many = [collect(session, "subscription { count(to: 5, everyMs: 2) }") for _ in range(10)]
        slow = session.execute(gql("{ slow(ms: 200) }"))
        *counts, done = await asyncio.gather(*many, slow)
        assert all(len(count) == 5 for count in counts) and done == {"slow": "done"}
        print("  ok: operations run side by side")
        async for _ in session.subscribe(gql("subscription { count(everyMs: 1) }")):
            break
        assert await session.execute(gql("{ hello }")) == {"hello": "world"}
        print("  ok: a cancelled subscription is followed by others")


asyncio.run(main(sys.argv[1]))
