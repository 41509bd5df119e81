"""What the methods of PredictionService and ModelService answer, with the official messages."""

from __future__ import annotations

import logging
import time
from typing import Any, cast

from tensorflow_serving.apis import model_management_pb2

from airbag_demo.model_server import describe
from airbag_demo.model_server.classify import classify
from airbag_demo.model_server.core import ServerCore, Wanted
from airbag_demo.model_server.multi_inference import multi_inference
from airbag_demo.model_server.predict import predict
from airbag_demo.model_server.regress import regress
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import Inference, Setting
from airbag_demo.model_server.status import Code, StatusError, invalid

log = logging.getLogger("airbag.model_server")

Context = Any  # grpc.ServicerContext


class GrpcApi:
    """The methods of both services. Each raises StatusError, which becomes the call's status."""

    def __init__(self, core: ServerCore, setting: Setting) -> None:
        self._core = core
        self._setting = setting
        self._metrics = setting.metrics

    def predict(self, request: Any, context: Context) -> Any:
        return self._counted("Predict", predict, request, context)

    def classify(self, request: Any, context: Context) -> Any:
        return self._counted("Classify", classify, request, context)

    def regress(self, request: Any, context: Context) -> Any:
        return self._counted("Regress", regress, request, context)

    def multi_inference(self, request: Any, context: Context) -> Any:
        """Neither counted nor timed, like no other inference."""
        wanted = Wanted.of(request.tasks[0].model_spec) if request.tasks else Wanted("")
        with self._core.hold(wanted) as route:
            model = cast(SavedModel, route.servable)
            response = multi_inference(model, request, _timeout_ms(context), self._setting)
            for result in response.results:
                result.model_spec.version.value = route.version
            return response

    def metadata(self, request: Any, _: Context) -> Any:
        wanted = _wanted(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        return describe.model_metadata(self._core, wanted)

    def status(self, request: Any, _: Context) -> Any:
        return describe.model_status(self._core, _wanted(request))

    def reload(self, request: Any, _: Context) -> Any:
        response = model_management_pb2.ReloadConfigResponse()
        before = {name: self._metrics.first(name) for name in request.metric_names}
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported"
                )
            self._core.reload(request.config)
        except StatusError as error:
            log.error("ReloadConfig failed: %s", error.status.message)  # noqa: TRY400 - the real server's one line
            raise
        response.status.error_code = Code.OK
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metrics.first(name) - value)
        return response

    def _counted(self, api: str, inference: Inference, request: Any, context: Context) -> Any:
        started = time.perf_counter()
        name = request.model_spec.name
        try:
            response = self._answer(inference, request, _timeout_ms(context))
        except StatusError as error:
            self._metrics.request_count.add(name, error.status.code.name)
            raise
        self._metrics.request_latency.observe(int((time.perf_counter() - started) * 1e6), name, api, "GRPC")
        self._metrics.request_count.add(name, "OK")
        return response

    def _answer(self, inference: Inference, request: Any, timeout_ms: int) -> Any:
        with self._core.hold(_wanted(request)) as route:
            response = inference(cast(SavedModel, route.servable), request, timeout_ms, self._setting)
            response.model_spec.version.value = route.version
            return response


def _wanted(request: Any) -> Wanted:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return Wanted.of(request.model_spec)


def _timeout_ms(context: Context) -> int:
    """What is left of the client's deadline; 0, no limit, if it gave none."""
    remaining = context.time_remaining()
    if remaining is None:
        return 0
    return min(max(1, int(remaining * 1000)), 2**31 - 1)
