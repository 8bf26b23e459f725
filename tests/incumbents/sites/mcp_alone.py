"""The MCP server of the cookbook, mounted in Starlette instead of beside Flask."""

from mcp_in_flask import tools
from starlette.applications import Starlette
from starlette.routing import Mount

_inner = tools.streamable_http_app(stateless_http=True)

app = Starlette(
    routes=[Mount("/tools", _inner)],
    lifespan=lambda app: _inner.router.lifespan_context(_inner),
)
