#!/bin/sh
# A cluster on this machine, without GPUs: simulated vLLM pods, a load that comes and goes, and the autoscaler.
# usage: run.sh [up|down]
set -eu
cd "$(dirname "$0")/../../.."
cluster=pd-autoscaler context=kind-pd-autoscaler

for program in docker kind kubectl; do
    command -v "$program" >/dev/null || { echo "needs $program" >&2; exit 1; }
done

case "${1:-up}" in
up)
    if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
        kind create cluster --config deploy/examples/kind/cluster.yaml --wait 120s
    fi
    docker build --tag pd-autoscaler:kind .
    kind load docker-image pd-autoscaler:kind --name "$cluster"
    kubectl --context "$context" apply --server-side -k deploy/crd
    kubectl --context "$context" wait --for=condition=Established crd/scalingpolicies.pd-autoscaler.io --timeout=60s
    kubectl --context "$context" apply --server-side -k deploy/examples/kind
    for namespace in monitoring serving pd-autoscaler; do
        kubectl --context "$context" --namespace "$namespace" wait --for=condition=Available deployment --all --timeout=300s
    done
    cat <<TEXT

It runs. What it decides:
  kubectl --context $context --namespace serving get scalingpolicies --watch
  kubectl --context $context --namespace serving get deployments --watch
  kubectl --context $context --namespace pd-autoscaler logs deployment/pd-autoscaler --follow
Grafana:    http://127.0.0.1:3000/dashboards
Prometheus: http://127.0.0.1:9090
Away with it: deploy/examples/kind/run.sh down
TEXT
    ;;
down)
    kind delete cluster --name "$cluster"
    ;;
*)
    echo "usage: run.sh [up|down]" >&2
    exit 2
    ;;
esac
