#!/bin/bash
# Upstream's script, and where to listen: the real server listens everywhere.
exec /opt/airbag/bin/airbag demo model-server --bind_address=0.0.0.0 --port=8500 --rest_api_port=8501 \
    --model_name="${MODEL_NAME}" --model_base_path="${MODEL_BASE_PATH}/${MODEL_NAME}" "$@"
