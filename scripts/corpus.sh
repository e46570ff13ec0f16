# shellcheck shell=bash
# Loading the demo corpus, the env file and the lines that say how to go on. Sourced by scripts/up.

# Prints the name of the store for the corpus: docs, or the folder's name.
corpus_store() {
  if [ -z "${CORPUS:-}" ]; then
    echo docs
  else
    basename -- "$CORPUS" | tr -c 'A-Za-z0-9_.\n-' '-'
  fi
}

# Loads docs/ and README.md on the first run, or the folder CORPUS whenever it changed.
load_corpus() {
  local store dir stamp state
  store=$(corpus_store)
  if [ -n "${CORPUS:-}" ]; then
    dir=$CORPUS
    stamp=$INST/corpus/$(hash12 "$CORPUS")
  else
    dir=$INST/corpus/demo
    stamp=$INST/corpus/demo.loaded
    if [ -e "$stamp" ]; then return; fi
    rm -rf "$dir"
    mkdir -p "$dir"
    # The product's own documentation: text that a first question can be asked about; not the figures of benchmarks.
    (cd "$ROOT" && find docs -name '*.md' ! -name 'bench-*' -exec cp --parents -t "$dir" {} + && cp README.md "$dir")
  fi
  state=$(find "$dir" -type f \( -name '*.md' -o -name '*.txt' \) -printf '%P %s %T@\n' | LC_ALL=C sort | sha256sum)
  if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$state" ]; then
    note "store $store has $dir already"
    return
  fi
  step "loading $dir into the store $store"
  OPENAI_BASE_URL=$(base_url) OPENAI_API_KEY=$(cat "$SECRETS/api_key") \
    "$INST/bin/vectorstore-proxy" load "$dir" --store "$store" || die "loading $dir failed (see $LOG/proxy.log)"
  mkdir -p "$INST/corpus"
  printf '%s\n' "$state" >"$stamp"
}

base_url() { printf 'http://127.0.0.1:%s/v1\n' "$(cat "$INST/proxy.port")"; }

write_env() {
  (
    umask 077
    printf 'export OPENAI_BASE_URL=%q\nexport OPENAI_API_KEY=%q\nexport DATABASE_URL=%q\nexport VS_PG_CONFIG=%q\n' \
      "$(base_url)" "$(cat "$SECRETS/api_key")" "$(superuser_url vectorstore)" "$INST_PG_CONFIG" >"$ENV_FILE.new"
  )
  mv -f "$ENV_FILE.new" "$ENV_FILE"
}

# The end of every start: how to use what runs now.
welcome() {
  local url key store id
  write_env
  url=$(base_url)
  key=$(cat "$SECRETS/api_key")
  store=$(corpus_store)
  id=$(vs_psql vectorstore -v name="$store" <<<"SELECT id FROM vs_stores WHERE name = :'name' LIMIT 1")
  cat <<TXT

Base URL   $url
API key    $key
also in    .vectorstore/env      (set -a; . .vectorstore/env)
logs       $LOG

psql:
  $BIN/psql '$(superuser_url vectorstore)' -c "SELECT round(score::numeric, 3) AS score, filename, left(replace(content, chr(10), ' '), 60) AS content FROM vs_search('$store', 'how do I filter by metadata')"

curl:
  curl -s $url/vector_stores/$id/search -H 'Authorization: Bearer $key' -H 'Content-Type: application/json' -d '{"query": "how do I filter by metadata"}'

Python (pip install openai):
  from openai import OpenAI
  client = OpenAI(base_url="$url", api_key="$key")
  store = next(s for s in client.vector_stores.list() if s.name == "$store")
  for hit in client.vector_stores.search(store.id, query="how do I filter by metadata"):
      print(round(hit.score, 3), hit.filename, hit.content[0].text[:80])
TXT
}
