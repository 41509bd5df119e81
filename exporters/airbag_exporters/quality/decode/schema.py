"""The published format: JSON Schemas of everything that is taken as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from airbag_exporters.quality.decode.events import Label, LabelColumns, Prediction, PredictionColumns
from airbag_exporters.quality.pipelines.runs import Run

_NAMES = {Run: "PipelineRun"}
_REFERENCE = "#/components/schemas/{name}"


def component_schemas() -> dict[str, Any]:  # Any: JSON values
    """Of Prediction, Label, PipelineRun, PredictionColumns and LabelColumns, for `components` of an OpenAPI document.

    Columns of one object must have equal lengths, which JSON Schema cannot say.
    """
    kinds = (Prediction, PredictionColumns, Label, LabelColumns, Run)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    return {_NAMES.get(kind, kind.__name__): schemas[kind.__name__] for kind in kinds}
