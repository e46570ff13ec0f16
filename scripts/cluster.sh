# shellcheck shell=bash
# One instance = one folder with a Postgres cluster (data/), its socket (run/), logs (log/), secrets and the
# proxy's binary. `make run` uses the state folder itself, the tests one below it. Sourced after lib.sh.

# Names the instance that the functions below work on.
use_instance() { # folder pg_config
  INST=$(realpath -m -- "$1")
  INST_PG_CONFIG=$2
  BIN=$("$2" --bindir)
  DATA=$INST/data
  LOG=$INST/log
  SECRETS=$INST/secrets
  RUN=$INST/run
  # A socket's path may have 107 characters, its name has 15 of them.
  if [ "${#RUN}" -gt 80 ]; then RUN=/tmp/vectorstore-$(hash12 "$INST"); fi
}

instance_dirs() {
  mkdir -p "$INST" "$SECRETS" "$LOG"
  chmod 700 "$SECRETS"
  # The folder stays ours, so that no other user decides which file the proxy's log is.
  if [ ! -e "$LOG/postgres.log" ]; then
    (umask 077 && touch "$LOG/postgres.log")
    if is_root; then chown "$(server_user):" "$LOG/postgres.log"; fi
  fi
  if [[ $RUN == /tmp/* ]]; then
    # Anybody may have made that name in /tmp: only a real folder of the server's user will do.
    as_server mkdir -m 700 "$RUN" 2>/dev/null || true
    [ "$(stat -c '%U %a %F' "$RUN")" = "$(server_user) 700 directory" ] ||
      die "$RUN belongs to somebody else; remedy: remove it"
  else
    server_dir 700 "$RUN"
  fi
}

# ---- Postgres --------------------------------------------------------------------------------------
# Every process of a cluster has the data folder as its working directory. Asked as the server's user: root in a
# container often may not look at other users' processes.
cwd_of() { as_server readlink "/proc/$1/cwd" 2>/dev/null || true; }

postgres_pids() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  as_server sh -c 'for p in /proc/[0-9]*; do
    if [ "$(readlink "$p/cwd" 2>/dev/null)" = "$1" ]; then echo "${p#/proc/}"; fi
  done' sh "$DATA"
}

# Prints the pid of the running postmaster. A pid file that outlived its server (kill -9, reboot) may name a
# process of somebody else by now.
postgres_pid() {
  local pid
  [ -s "$DATA/postmaster.pid" ] || return 1
  read -r pid <"$DATA/postmaster.pid"
  [ "$(cwd_of "$pid")" = "$DATA" ] || return 1
  printf '%s\n' "$pid"
}

# The port of the running server.
postgres_port() { sed -n 4p "$DATA/postmaster.pid"; }

cluster_init() {
  local major
  major=$(pg_major "$INST_PG_CONFIG")
  instance_dirs
  if [ -s "$DATA/PG_VERSION" ]; then
    [ "$(cat "$DATA/PG_VERSION")" = "$major" ] ||
      die "$DATA was made by PostgreSQL $(cat "$DATA/PG_VERSION"), this is $major; remedy: make reset (deletes the local data), or name the other PG_CONFIG"
  else
    step "initdb"
    # Made aside and renamed: a half-made cluster never carries the name.
    rm -rf "$DATA.new"
    server_dir 700 "$DATA.new"
    local common=(--pgdata="$DATA.new" --username=vectorstore --encoding=UTF8 --auth-local=trust
      --auth-host=scram-sha-256 --no-instructions)
    as_server "$BIN/initdb" "${common[@]}" --locale=C.UTF-8 >"$INST/initdb.log" 2>&1 ||
      { as_server find "$DATA.new" -mindepth 1 -delete &&
        as_server "$BIN/initdb" "${common[@]}" --locale=C >"$INST/initdb.log" 2>&1; } ||
      die "initdb failed (see $INST/initdb.log)"
    echo "include_if_exists = 'vectorstore.conf'" | as_server tee -a "$DATA.new/postgresql.conf" >/dev/null
    # The socket lies in a folder that only the server's user can enter; everything else needs a password.
    printf '%s\n' 'local all all trust' 'host all all 127.0.0.1/32 scram-sha-256' |
      as_server tee "$DATA.new/pg_hba.conf" >/dev/null
    mv "$DATA.new" "$DATA"
  fi
}

# Written at each start, so that a moved checkout or a new setting takes effect. Further lines: standard input.
cluster_conf() { # port
  {
    cat <<CONF
# Written by scripts/cluster.sh at each start. Settings of your own: postgresql.auto.conf (ALTER SYSTEM).
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = '${RUN//\'/\'\'}'
max_connections = 100
shared_buffers = 256MB
jit = off
shared_preload_libraries = 'vectorstore'
log_line_prefix = '%m [%p] %q%u@%d '
vectorstore.model_path = '${MODEL_DIR//\'/\'\'}'
CONF
    cat
  } | as_server tee "$DATA/vectorstore.conf" >/dev/null
}

# Starts the server with further settings from standard input; returns 1 when the port is taken.
cluster_start() { # port
  local log=$LOG/postgres.log seen=0 pid
  instance_dirs
  cluster_conf "$1"
  if [ -e "$DATA/postmaster.pid" ] && ! postgres_pid >/dev/null; then
    # Backends leave by themselves within moments of their postmaster's death.
    local tries=0
    while [ -n "$(postgres_pids)" ] && ((tries++ < 50)); do sleep 0.1; done
    pid=$(postgres_pids | tr '\n' ' ')
    [ -z "$pid" ] || die "processes of a crashed server still use $DATA: $pid; remedy: kill them"
    note "the last server did not stop cleanly; recovering"
    rm -f "$DATA/postmaster.pid" "$RUN"/.s.PGSQL.*
  fi
  if [ -f "$log" ]; then seen=$(wc -c <"$log"); fi
  if ! as_server "$BIN/pg_ctl" start -D "$DATA" -l "$log" -w -t 120 -s </dev/null >/dev/null 2>&1; then
    if tail -c "+$((seen + 1))" "$log" 2>/dev/null | grep -q 'could not bind'; then return 1; fi
    die "Postgres did not start: $(grep -E 'FATAL|PANIC|ERROR' "$log" 2>/dev/null | tail -n1) (see $log)"
  fi
  PGPORT_NOW=$1
}

cluster_stop() {
  if postgres_pid >/dev/null; then
    as_server "$BIN/pg_ctl" stop -D "$DATA" -m fast -w -t 60 -s </dev/null >/dev/null 2>&1 ||
      ! postgres_pid >/dev/null || die "Postgres did not stop within 60 s (see $LOG/postgres.log)"
  fi
}

# psql as the superuser over the private socket.
vs_psql() { # database psql-arguments...
  local db=$1
  shift
  PGOPTIONS='-c client_min_messages=warning' "$BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$RUN" -p "$PGPORT_NOW" -U vectorstore -d "$db" "$@"
}

superuser_url() { # database
  printf 'postgresql://vectorstore:%s@127.0.0.1:%s/%s\n' "$(secret "$SECRETS/superuser")" "$PGPORT_NOW" "$1"
}

# Makes the superuser's password be the one on file. Its search_path is pinned because the usual one begins with
# the schema named like the user: tables of the user's own would be created among those of the extension.
cluster_password() {
  vs_psql postgres <<SQL
ALTER ROLE vectorstore PASSWORD '$(secret "$SECRETS/superuser")';
ALTER ROLE vectorstore SET search_path = public;
SQL
}

# Makes a database ready to serve: the extension at its newest version, the proxy's login role.
database_ready() { # database
  local exists
  exists=$(vs_psql postgres -v db="$1" <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
  [ "$exists" = 1 ] || vs_psql postgres -v db="$1" <<<'CREATE DATABASE :"db"'
  # The password goes through standard input: arguments can be read by every user of the machine.
  vs_psql "$1" <<SQL
CREATE EXTENSION IF NOT EXISTS vectorstore CASCADE;
ALTER EXTENSION vectorstore UPDATE;
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vectorstore_proxy') AS missing \gset
\if :missing
  CREATE ROLE vectorstore_proxy LOGIN IN ROLE vectorstore_app;
\endif
ALTER ROLE vectorstore_proxy PASSWORD '$(secret "$SECRETS/proxy")';
\o /dev/null
SELECT vs_install();
SQL
}

# ---- The proxy ---------------------------------------------------------------------------------------
# Registers a fresh API key in a database and prints it.
new_api_key() { # database
  local out key hash
  out=$("$INST/bin/vectorstore-proxy" key new)
  key=$(sed -n 's/^key=//p' <<<"$out")
  hash=$(sed -n 's/^sha256=//p' <<<"$out")
  [ -n "$key" ] && [ -n "$hash" ] || die "vectorstore-proxy key new printed no key"
  vs_psql "$1" -o /dev/null -v hash="$hash" <<<"SELECT vs_create_api_key('default', decode(:'hash', 'hex'), role => 'operator')"
  printf '%s\n' "$key"
}

# The proxy runs from a copy: the server user can reach it, and a later build does not disturb it.
proxy_install() { # profile
  mkdir -p "$INST/bin"
  if ! cmp -s "$TARGET/$1/vectorstore-proxy" "$INST/bin/vectorstore-proxy"; then
    install -m 755 "$TARGET/$1/vectorstore-proxy" "$INST/bin/.new"
    mv -f "$INST/bin/.new" "$INST/bin/vectorstore-proxy"
  fi
}

# Status code of GET path, 000 when nobody answers.
http_status() { # port path
  local line=
  { exec 5<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || { echo 000; return; }
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&5
  read -r -t 5 line <&5 || true
  exec 5>&-
  line=${line#* }
  printf '%s\n' "${line:0:3}"
}

# Starts the proxy on a database and waits until it answers.
proxy_start() { # port database
  local log=$LOG/proxy.log pid deadline=$((SECONDS + 60))
  touch "$log" && chmod 600 "$log"
  VECTORSTORE_DATABASE_URL="postgresql://vectorstore_proxy:$(secret "$SECRETS/proxy")@127.0.0.1:$PGPORT_NOW/$2" \
    VECTORSTORE_LISTEN="127.0.0.1:$1" VECTORSTORE_MODEL_PATH="$MODEL_DIR" \
    exec_as_server setsid "$INST/bin/vectorstore-proxy" serve </dev/null >>"$log" 2>&1 &
  pid=$!
  PROXY_PID=$pid
  until [ "$(http_status "$1" /ready)" = 200 ]; do
    if ! alive "$pid"; then die "the proxy stopped: $(tail -n1 "$log") (see $log)"; fi
    ((SECONDS < deadline)) || die "the proxy did not get ready within 60 s (see $log)"
    sleep 0.1
  done
  write_pid "$INST/proxy.pid" "$pid"
  printf '%s\n' "$1" >"$INST/proxy.port"
}

proxy_stop() {
  local pid tries=0
  pid=${PROXY_PID:-$(live_pid "$INST/proxy.pid" || true)}
  if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
    # 15 s for requests under way, then no longer.
    while alive "$pid" && ((tries++ < 150)); do sleep 0.1; done
    if alive "$pid"; then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  PROXY_PID=
  rm -f "$INST/proxy.pid" "$INST/proxy.port"
}
