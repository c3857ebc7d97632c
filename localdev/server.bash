# Sourced by with-minio and with-nats: installs a server and runs it beside a command.
#
#   installed NAME MODULE VERSION   its binary's path in $server, built if it is not there
#   serve READY COMMAND...          starts COMMAND with a free $port until READY answers
#   beside COMMAND...               runs a command; the server ends with it, whatever happens
#
# The server has $scratch, a folder that goes with it. Nothing listens but on loopback.

me=$(basename "$0")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
pid=

finish() {
  if [[ -n $pid ]]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
  fi
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
}

# A build that fails leaves nothing under the name that is looked for.
installed() {
  local name=$1 module=$2 version=$3 cache began=$SECONDS
  cache=${FOZ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foz}
  server=$cache/$name-$version
  [[ -x $server ]] && return
  echo "$me: building $server, once" >&2
  mkdir -p "$cache"
  (cd "$scratch" && GOBIN=$scratch/built GOFLAGS='' GOWORK=off go install "$module@$version")
  mv "$scratch/built/$name" "$server"
  echo "$me: built in $((SECONDS - began)) s" >&2
}

# A port that somebody takes meanwhile ends the server at once: try another.
serve() {
  local ready=$1 attempt
  shift
  for attempt in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    set -m # so that Ctrl-C reaches the command first
    "$@" >"$scratch/log" 2>&1 </dev/null &
    pid=$!
    set +m
    for _ in {1..300}; do
      kill -0 "$pid" 2>/dev/null || break
      if "$ready" 2>/dev/null; then return; fi
      sleep 0.1
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
  done
  echo "$me: the server does not start, $attempt ports tried; at last it said:" >&2
  cat "$scratch/log" >&2
  exit 1
}

# The command has a process group of its own: all of it hears that it is to end, and before
# the server does.
beside() {
  local status=0
  set -m
  "$@" <&0 &
  child=$!
  set +m
  trap 'pass TERM 143' TERM HUP
  trap 'pass INT 130' INT
  wait "$child" || status=$?
  return "$status"
}

pass() {
  trap '' INT TERM HUP
  kill "-$1" -- "-$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || true
  exit "$2"
}
