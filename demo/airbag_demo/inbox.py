"""The people's channel of the demo: takes Alertmanager's webhook, prints what a person would read, keeps it."""

from __future__ import annotations

import json
import threading
from collections import deque

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airbag.http import Address, Surface, Web, serve

_KEPT = 1000


def _sentence(status: str, alert: dict[str, dict[str, str]]) -> str:
    labels, annotations = alert["labels"], alert["annotations"]
    about = f"{labels.get('alertname')} ({labels.get('severity', 'no severity')})"
    return f"[{status}] {about}: {annotations.get('description') or annotations.get('summary')}"


def run(address: Address) -> None:
    """Serve until ended. `POST /` takes a notification, `GET /messages` lists the newest thousand alerts in them."""
    messages: deque[object] = deque(maxlen=_KEPT)
    lock = threading.Lock()

    async def take(request: Request) -> Response:
        try:
            alerts = json.loads(await request.body())["alerts"]
            said = [_sentence(alert["status"], alert) for alert in alerts]
        except (ValueError, KeyError, TypeError, AttributeError):
            return JSONResponse({"error": "not an Alertmanager notification"}, status_code=400)
        with lock:
            messages.extend(alerts)
        print("\n".join(said), flush=True)
        return JSONResponse({"taken": len(alerts)})

    def listing(_request: Request) -> Response:
        with lock:
            return JSONResponse(list(messages))

    surface = Surface("airbag people's inbox", links=[("/messages", "messages")])
    routes = [*surface.routes(), Route("/", take, methods=["POST"]), Route("/messages", listing, methods=["GET"])]
    serve(Starlette(routes=routes), surface, Web(address))
