#!/bin/sh
# Makes what docker-compose.yml mounts and nobody ships: secrets, and a model store that the receiver can write to.
# usage: secrets.sh ; what is there already is never changed. AIRBAG_MODELS=FOLDER puts the model store elsewhere.
#
# Compose mounts secret files as they are, with their owner and mode, and several users read them. So the files can be
# read by everybody who gets at them, and only their owner gets into the folder.
set -eu

folder=.airbag/secrets
models=${AIRBAG_MODELS:-.airbag/models}
owner=10001:10001 # of the image's processes

say() { printf '%s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo "$@"; else
        say "airbag: this needs root: $*" >&2
        exit 1
    fi
}

random() { # 32 bytes, as letters and digits
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

if [ ! -d "$folder" ]; then
    mkdir -p "$folder"
    chmod 700 "$folder"
    say "created $folder (mode 700)"
fi
for name in airbag_webhook_token airbag_operator_token airbag_audit_key airbag_postgres_password grafana_admin_password; do
    if [ -s "$folder/$name" ]; then
        say "kept    $folder/$name"
        continue
    fi
    umask 022
    random >"$folder/$name.new"
    mv "$folder/$name.new" "$folder/$name"
    say "created $folder/$name"
done
if [ ! -d "$folder/channels" ]; then
    mkdir "$folder/channels"
    chmod 755 "$folder/channels"
    say "created $folder/channels, for the addresses and passwords of people's channels"
fi

if [ ! -d "$models" ]; then
    mkdir -p "$models"
    chmod 755 "$models"
    say "created $models"
fi
if [ ! -e "$models/models.config" ]; then
    as_root sh -c 'umask 022; echo "model_config_list {}" >"$1/models.config" && chown "$2" "$1/models.config"' sh "$models" "$owner"
    say "created $models/models.config, which serves no model yet"
fi
# shellcheck disable=SC2012 # one folder with a known name
if [ "$(ls -dn "$models" | awk '{print $3}')" != "${owner%:*}" ]; then
    as_root chown "$owner" "$models"
    [ ! -e "$models/models.config" ] || as_root chown "$owner" "$models/models.config"
    say "gave    $models to $owner, who writes models.config there"
fi
