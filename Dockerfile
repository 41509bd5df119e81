# Two images. The default one is every process of Airbag, and the command chooses which; `--target demo` is TensorFlow
# with the local model server and the trainer of the demo.
# Another base, or a digest: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/airbag
WORKDIR /src
COPY requirements/base.lock requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/airbag/bin/python install --quiet --no-compile --require-hashes -r requirements/base.lock
# Nobody tests, types or compiles in the image: 20 MB that no process reads.
RUN cd /opt/airbag/lib/python3*/site-packages \
 && find . -type d -name tests -prune -exec rm -r {} + \
 && find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete \
 && rm -r numpy/f2py numpy/_core/_simd.* \
 && find pygments/lexers pygments/formatters pygments/styles -name '*.py' ! -name '_*' -delete
COPY . .
# The build backend is in the lock, so nothing is fetched for it. What our processes import is compiled, for a quick start.
RUN PYTHONPATH=$(echo /opt/airbag/lib/python3*/site-packages) \
        python -c "import hatchling.build as backend; print(backend.build_wheel('/dist'))" \
 && pip --python /opt/airbag/bin/python install --quiet --no-deps --no-index --no-compile /dist/*.whl \
 && pip --python /opt/airbag/bin/python uninstall --quiet --yes hatchling pathspec pluggy tomlkit trove-classifiers \
 && cd /opt/airbag/lib/python3*/site-packages && /opt/airbag/bin/python -c "\
import importlib, pkgutil; \
[importlib.import_module(found.name) \
 for package in ('airbag', 'airbag_exporters', 'airbag_rollback') \
 for found in pkgutil.walk_packages([package], package + '.') \
 if not found.name.endswith(('__main__', '.certificates.files', '.certificates.make'))]"

# What an intruder would use and no process of Airbag does leaves the system: package managers, perl, mount, set-uid
# programs. Its package database knows, for those who scan the image.
FROM ${PYTHON_IMAGE} AS system
RUN groupadd --gid 10001 airbag \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin airbag \
 && install -d -o 10001 -g 10001 /models /var/lib/airbag /var/lib/airbag/exporter /var/lib/airbag/quality \
 # where the commands look for their files, for `docker compose exec receiver airbag status`
 && mkdir -p /srv/airbag/alertmanager /srv/airbag/exporters \
 && ln -s /etc/airbag/policy.yml /srv/airbag/alertmanager/policy.yml \
 && ln -s /etc/airbag/exporters.yml /srv/airbag/exporters/exporters.yml
RUN dpkg --purge --force-depends python3-pip-whl python3-setuptools-whl tzdata \
 && dpkg --purge --force-all adduser apt bsdutils debconf debian-archive-keyring e2fsprogs gpgv init-system-helpers \
        libapt-pkg6.0 libdb5.3 libext2fs2 libgcrypt20 libgnutls30 libgpg-error0 libhogweed6 libidn2-0 libnettle8 \
        libp11-kit0 libseccomp2 libsemanage2 libsepol2 libss2 libsystemd0 libtasn1-6 libudev1 libunistring2 login \
        logsave mount ncurses-bin passwd perl-base sysvinit-utils util-linux \
 && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && rm -rf distutils ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo turtle.py \
 && rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/bin/pip* /usr/lib/*/gconv /root/.cache \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=wheel /opt/airbag /opt/airbag

# One layer, so that what left is not in the image below it.
FROM scratch AS airbag
COPY --from=system / /
ENV PATH=/opt/airbag/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/airbag
USER 10001:10001
EXPOSE 9810 9811 9812 9815
ENTRYPOINT ["airbag"]
CMD ["--help"]

FROM ${PYTHON_IMAGE} AS demo
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/airbag \
 && groupadd --gid 10001 airbag \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin airbag \
 && install -d -o 10001 -g 10001 /models /releases
COPY requirements/demo.lock /tmp/demo.lock
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/airbag/bin/python install --quiet --require-hashes -r /tmp/demo.lock
COPY --from=wheel /dist /tmp/dist
RUN pip --python /opt/airbag/bin/python install --quiet --no-deps --no-index /tmp/dist/*.whl
ENV PATH=/opt/airbag/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["airbag"]
CMD ["demo", "--help"]

FROM airbag
