"""A GraphQL API with a subscription behind ``bridge.to_wsgi``: ``tests.apps.asgi_strawberry:app``.

Strawberry serves it over ``graphql-transport-ws`` and ``graphql-ws``.
"""

from collections.abc import AsyncIterator

import strawberry
from strawberry.asgi import GraphQL

import bridge


@strawberry.type
class Query:
    @strawberry.field  # type: ignore[untyped-decorator]  # not installed for mypy
    def hello(self) -> str:
        return "hello"


@strawberry.type
class Subscription:
    @strawberry.subscription  # type: ignore[untyped-decorator]  # not installed for mypy
    async def count(self, last: int) -> AsyncIterator[int]:
        for number in range(last):
            yield number


app = bridge.to_wsgi(GraphQL(strawberry.Schema(query=Query, subscription=Subscription)))
