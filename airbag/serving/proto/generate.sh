#!/bin/sh
# Generates tfs_pb2.py and tfs_pb2.pyi from tfs.proto. Both are committed.
# $PYTHON must hold requirements/proto.lock: code from newer generators refuses the protobuf runtimes that users have.
set -eu
cd "$(dirname "$0")/../../.."
exec "${PYTHON:-python3}" -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. airbag/serving/proto/tfs.proto
