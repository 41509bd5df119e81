# python:3.11-slim-bookworm from Debian's own Python, laid out as upstream's: /usr/local/bin/python, pip beside it.
FROM airbag-standin/rootfs:bookworm
RUN python3.11 -m venv /usr/local
# What this machine needs to reach its package index, and the only place that has it.
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
LABEL airbag.standin=debian
CMD ["python3"]
