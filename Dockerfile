# pd-autoscaler: `make image` builds it, `make image-test` builds and runs it without a container engine.
#
# The base may be any Debian with a python3 of 3.11 or later that has venv; name it by digest to pin it:
#   --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:...
# 3.11 is the version that the tests run on.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
# A pip of its own, so that none ends up in the image.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/pd-autoscaler
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
RUN /opt/pip/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
 && /opt/pip/bin/pip --python /opt/pd-autoscaler/bin/python install --no-cache-dir --no-compile --require-hashes \
      --only-binary :all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY autoscaler autoscaler
COPY deploy/image/prune.py deploy/image/health.py /usr/local/libexec/
# Byte code that holds whatever the files' times are: a read-only root could not renew it.
RUN /opt/pip/bin/pip wheel --no-cache-dir --no-deps --no-index --no-build-isolation --wheel-dir dist . \
 && /opt/pip/bin/pip --python /opt/pd-autoscaler/bin/python install --no-cache-dir --no-compile --no-deps --no-index \
      dist/*.whl \
 && python3 /usr/local/libexec/prune.py /opt/pd-autoscaler \
 && install -D -m 644 /usr/local/libexec/health.py /opt/pd-autoscaler/libexec/health.py \
 && /opt/pd-autoscaler/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pd-autoscaler/lib

FROM ${BASE}
ARG VERSION=0.0.0
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="pd-autoscaler" \
      org.opencontainers.image.description="SLO-driven autoscaler for LLM serving with prefill and decode apart" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /opt/pd-autoscaler /opt/pd-autoscaler
# One thread for linear algebra: on a node with a hundred cores as many would start, for matrices of a few numbers.
ENV PATH=/opt/pd-autoscaler/bin:$PATH \
    OPENBLAS_NUM_THREADS=1 \
    PD_AUTOSCALER_COMMIT=${COMMIT} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 9464
# For engines that look at it; Kubernetes has probes of its own. Any --listen on port 9464 will do, with TLS or without.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["/opt/pd-autoscaler/bin/python", "/opt/pd-autoscaler/libexec/health.py"]
ENTRYPOINT ["/opt/pd-autoscaler/bin/pd-autoscaler"]
CMD ["--help"]
