# Debian's own Redis, PostgreSQL and nginx, with the users, folders and entry points of the upstream images.
FROM airbag-standin/rootfs:bookworm AS servers
RUN groupadd --gid 999 db && useradd --uid 999 --gid 999 --home-dir /nonexistent db \
 && groupadd --gid 101 nginx && useradd --uid 101 --gid 101 --home-dir /nonexistent nginx
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        curl nginx-light postgresql-15 redis-server >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql /var/log/nginx/*
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL airbag.standin=debian

FROM servers AS redis
RUN install -d -o 999 -g 999 /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]

FROM servers AS postgres
RUN install -d -o 999 -g 999 -m 1777 /var/lib/postgresql/data && install -d -o 999 -g 999 -m 3777 /var/run/postgresql
COPY --chmod=755 postgres_entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]

FROM servers AS nginx
RUN rm -rf /etc/nginx/sites-enabled
CMD ["nginx", "-g", "daemon off;"]
