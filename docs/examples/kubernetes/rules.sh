#!/bin/sh
# Prints every rule file as an object for the Prometheus Operator. Run it in a checkout:
#   docs/examples/kubernetes/rules.sh | kubectl apply --server-side -f -
set -eu
cd "$(dirname "$0")/../../../prometheus/rules"
for file in *.yml; do
    name=$(basename "$file" .yml | tr _ -)
    printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n'
    printf 'metadata: {name: airbag-%s, namespace: airbag, labels: {app.kubernetes.io/part-of: airbag}}\nspec:\n' "${name#airbag-}"
    sed 's/^./  &/' "$file"
done
