# Grafana's user, folders and entry point around a fake that renders nothing.
FROM airbag-standin/rootfs:bookworm
COPY --chmod=755 busybox /bin/busybox
RUN ln -s /bin/busybox /usr/bin/wget \
 && useradd --system --uid 472 --gid 0 --home-dir /usr/share/grafana grafana \
 && install -d -o 472 -g 0 /var/lib/grafana /usr/share/grafana /etc/grafana/provisioning
COPY fake_grafana.py /opt/standin/
RUN printf '#!/bin/bash\nexec /usr/bin/python3.11 /opt/standin/fake_grafana.py\n' > /run.sh && chmod 755 /run.sh
WORKDIR /usr/share/grafana
USER 472
LABEL airbag.standin=fake
ENTRYPOINT ["/run.sh"]
