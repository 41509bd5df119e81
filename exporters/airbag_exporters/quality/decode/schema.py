"""The published format: JSON Schemas of everything that is taken as JSON."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec

from airbag_exporters.quality.decode.events import Label, LabelColumns, Prediction, PredictionColumns
from airbag_exporters.quality.pipelines.runs import Run


def component_schemas() -> dict[str, Any]:  # Any: JSON values
    """Of Prediction, Label, PipelineRun, PredictionColumns and LabelColumns, for `components` of an OpenAPI document.

    Columns of one object must have equal lengths, which JSON Schema cannot say.
    """
    kinds: tuple[type[msgspec.Struct], ...] = (Prediction, PredictionColumns, Label, LabelColumns, Run)
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    named = {"PipelineRun" if kind is Run else kind.__name__: schemas[kind.__name__] for kind in kinds}
    return {
        name: {**schema, "title": name, "description": cleandoc(schema["description"])}
        for name, schema in named.items()
    }  # fmt: skip
