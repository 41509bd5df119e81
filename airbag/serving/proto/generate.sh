#!/bin/sh
# Generates tfs_pb2.py and tfs_pb2.pyi from tfs.proto. Both are committed.
# usage: generate.sh [ROOT]   ROOT: write below this folder instead of into the source tree
# $PYTHON must hold requirements/proto.lock: code from newer generators refuses the protobuf runtimes that users have.
set -eu
cd "$(dirname "$0")/../../.."
out=${1:-.}
mkdir -p "$out"
exec "${PYTHON:-python3}" -m grpc_tools.protoc --proto_path=. --python_out="$out" --pyi_out="$out" airbag/serving/proto/tfs.proto
