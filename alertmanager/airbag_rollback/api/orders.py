"""What people may order."""

from __future__ import annotations

import functools
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from airbag_rollback.api import values
from airbag_rollback.api.door import caller_of
from airbag_rollback.api.overview import pause_view
from airbag_rollback.api.repeats import Key, Repeats
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action

_InPath = Annotated[int, Path(ge=0, le=values.LARGEST)]


REFUSALS = (401, 403, 404, 409, 413, 415, 422, 429, 503)


def add_to(router: APIRouter, receiver: Receiver) -> None:
    """Add the routes that change something. Every order is known by its key, when it has one."""
    people = receiver.people
    repeats = Repeats(receiver.journal.database, receiver.clock)

    def approve(
        request: Request, action_id: values.ActionId, order: values.Because | None = None, key: Key = None
    ) -> Response:
        def give() -> Action:
            return people.approve(action_id, caller_of(request).name, order.because if order else "")

        return repeats.answer(request, key, order, 200, give)

    def reject(
        request: Request, action_id: values.ActionId, order: values.Because | None = None, key: Key = None
    ) -> Response:
        def give() -> Action:
            return people.reject(action_id, caller_of(request).name, order.because if order else "")

        return repeats.answer(request, key, order, 200, give)

    def clear(request: Request, action_id: values.ActionId, key: Key = None) -> Response:
        return repeats.answer(request, key, None, 200, lambda: people.clear(action_id, caller_of(request).name))

    def roll_back(request: Request, order: values.RollbackOrder, key: Key = None) -> Response:
        def give() -> Action:
            by = caller_of(request).name
            return people.roll_back(order.serving, order.model_name, order.target_version, by, order.because)

        return repeats.answer(request, key, order, 201, give)

    def drill(request: Request, order: values.DrillOrder, key: Key = None) -> Response:
        def give() -> Action:
            by = caller_of(request).name
            return people.drill(order.serving, order.model_name, by, order.because, shadow=order.shadow)

        return repeats.answer(request, key, order, 201, give)

    def pause(request: Request, order: values.PauseOrder, key: Key = None) -> Response:
        def give() -> values.PauseView:
            by = caller_of(request).name
            return pause_view(people.pause(order.serving, order.model_name, order.seconds, by, order.because))

        return repeats.answer(request, key, order, 201, give)

    def resume(request: Request, serving: values.InPath, model: values.InPath) -> Response:
        people.resume(serving, model, caller_of(request).name)
        return Response(status_code=204)

    def quarantine(
        request: Request, serving: values.InPath, model: values.InPath, version: _InPath, order: values.Given,
    ) -> Response:  # fmt: skip
        people.quarantine(serving, model, version, caller_of(request).name, order.because)
        return Response(status_code=204)

    def lift(request: Request, serving: values.InPath, model: values.InPath, version: _InPath) -> Response:
        people.lift_quarantine(serving, model, version, caller_of(request).name)
        return Response(status_code=204)

    post = functools.partial(router.add_api_route, methods=["POST"])
    delete = functools.partial(router.add_api_route, methods=["DELETE"], status_code=204)
    action = "/v1/actions/{action_id}"
    post(f"{action}/approve", approve, response_model=Action, summary="Let an action go on")
    post(f"{action}/reject", reject, response_model=Action, summary="Say no to an action that has touched nothing yet")
    post(
        f"{action}/clear", clear, response_model=Action, summary="Let the release of an ended action be acted on again"
    )
    post("/v1/rollbacks", roll_back, status_code=201, response_model=Action, summary="Go back from what serves now")
    post("/v1/drills", drill, status_code=201, response_model=Action, summary="Go the whole way and touch nothing")
    post("/v1/pauses", pause, status_code=201, response_model=values.PauseView,
         summary="Let nothing be rolled back by itself")  # fmt: skip
    delete("/v1/pauses/{serving}/{model}", resume, summary="End a pause")
    version = "/v1/quarantine/{serving}/{model}/{version}"
    post(version, quarantine, status_code=204, summary="Let nobody go back to a version")
    delete(version, lift, summary="Undo that")
