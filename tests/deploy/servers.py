"""The servers that compose files name, as images of this machine's packages: of the official ones what the files use."""

import debian_image

DEBIAN = "localhost/test-debian:latest"
MARIADB = "localhost/test-mariadb:latest"
POSTGRES = "localhost/test-postgres:latest"
REDIS = "localhost/test-redis:latest"
# What the compose files take in the place of the official images.
INSTEAD = {"MARIADB_IMAGE": MARIADB, "POSTGRES_IMAGE": POSTGRES, "REDIS_IMAGE": REDIS}

MARIADB_START = """#!/bin/bash
set -e
cd /var/lib/mysql
[ -d mysql ] || mariadb-install-db --no-defaults --datadir=. --user=root --skip-test-db >/dev/null
echo "CREATE DATABASE IF NOT EXISTS $MARIADB_DATABASE;
CREATE USER IF NOT EXISTS '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL ON $MARIADB_DATABASE.* TO '$MARIADB_USER'@'%';" >/tmp/start.sql
exec mariadbd --no-defaults --datadir=/var/lib/mysql --user=root --bind-address=0.0.0.0 --socket=/tmp/mysql.sock \\
    --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=32M --init-file=/tmp/start.sql
"""
MARIADB_HEALTH = """#!/bin/bash
exec mariadb --no-defaults --socket=/tmp/mysql.sock --execute 'DO 1'
"""

# PostgreSQL refuses to run as root.
POSTGRES_START = """#!/bin/bash
set -e
cd /var/lib/postgresql/data
chown postgres .
chmod 700 .
as() { setpriv --reuid=postgres --regid=0 --clear-groups "$@"; }
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
if [ ! -f PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/password
    as initdb --pgdata=. --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --no-sync >/dev/null
    echo 'host all all all scram-sha-256' >>pg_hba.conf
    echo "CREATE DATABASE $POSTGRES_DB" | as postgres --single -D . -F postgres >/dev/null
fi
as postgres -D . -h 0.0.0.0 -k /tmp -c fsync=off
"""
POSTGRES_READY = """#!/bin/bash
exec /usr/lib/postgresql/*/bin/pg_isready --host=127.0.0.1 "$@"
"""

# The official one protects itself by the network it is in, too.
REDIS_SERVER = """#!/bin/bash
exec /usr/bin/redis-server "$@" --protected-mode no
"""


def build(engine, image, packages, command, files=()):
    """Makes one of them."""
    folder = engine.directory / image.split(":")[0].rsplit("/")[-1]
    engine.podman("build", "--tag", image, str(debian_image.containerfile(folder, packages, [f"CMD {command}"], files)))


def debian(engine):
    """Debian, for the service `tools`."""
    build(engine, DEBIAN, ["curl"], '["bash"]')


def mariadb(engine):
    """MariaDB."""
    files = [("/start", MARIADB_START), ("/usr/local/bin/healthcheck.sh", MARIADB_HEALTH)]
    build(engine, MARIADB, ["mariadb-server-core", "mariadb-client-core"], '["/start"]', files)


def postgres(engine):
    """PostgreSQL."""
    files = [("/start", POSTGRES_START), ("/usr/local/bin/pg_isready", POSTGRES_READY)]
    build(engine, POSTGRES, ["postgresql", "util-linux"], '["/start"]', files)


def redis(engine):
    """Redis."""
    build(engine, REDIS, ["redis-server", "redis-tools"], '["redis-server"]', [("/usr/local/bin/redis-server", REDIS_SERVER)])
