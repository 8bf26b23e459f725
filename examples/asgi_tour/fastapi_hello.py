"""An app with a framework: FastAPI validates requests and documents the API at ``/docs``.

::

    uvicorn fastapi_hello:app
    gunicorn fastapi_hello:wsgi_app

    curl http://127.0.0.1:8000/fare --json '{"boat": "Heron", "length_m": 12.5}'
"""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel, Field

import bridge

app = FastAPI(title="Harbour fares")

PENCE_PER_M = 350


class Visit(BaseModel):
    """A visiting boat."""

    boat: str = Field(min_length=1, max_length=80)
    length_m: float = Field(gt=0, le=400)


@app.get("/")
async def index() -> dict[str, str]:
    """Link to the documentation."""
    return {"hello": "from FastAPI", "documentation": "docs"}


@app.post("/fare")
async def fare(visit: Visit) -> dict[str, str | int]:
    """The price of one night. An invalid visit is answered with 422 and the reason."""
    return {"boat": visit.boat, "pence": round(visit.length_m * PENCE_PER_M)}


wsgi_app = bridge.to_wsgi(app)
