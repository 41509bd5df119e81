# One image for every process of Airbag; the command chooses which.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /opt/airbag
ENV PATH=/opt/airbag/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/base.lock requirements/base.lock
RUN pip install --no-cache-dir --require-hashes -r requirements/base.lock
COPY . .
# The build backend is in the lock, so nothing is fetched here.
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && pip install --no-deps --no-index --no-cache-dir /dist/*.whl

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 airbag \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin airbag \
 && install -d -o 10001 -g 10001 /models /var/lib/airbag /var/lib/airbag/exporter /var/lib/airbag/quality
COPY --from=build /opt/airbag /opt/airbag
ENV PATH=/opt/airbag/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/airbag
USER 10001:10001
EXPOSE 9810 9811 9812 9815
ENTRYPOINT ["airbag"]
CMD ["--help"]
