# tensorflow/serving's entry point and its poverty of tools (bash, and neither Python, curl nor wget on PATH) around the
# local model server.
ARG DEMO_IMAGE
FROM ${DEMO_IMAGE}
USER root
RUN mkdir -p /opt/standin && mv /usr/bin/python3.11 /opt/standin/python3.11 \
 && rm -f /usr/bin/python* /usr/local/bin/* \
 && ln -sf /opt/standin/python3.11 /opt/airbag/bin/python \
 && ln -sf python /opt/airbag/bin/python3 && ln -sf python /opt/airbag/bin/python3.11
COPY --chmod=755 tf_serving_entrypoint.sh /usr/bin/
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin MODEL_NAME=model MODEL_BASE_PATH=/models
WORKDIR /
LABEL airbag.standin=local-model-server
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]
CMD []
