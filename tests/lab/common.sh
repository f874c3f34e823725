# shellcheck shell=bash disable=SC2034 # used by the scripts that read this one
# What up, down and hosts share: where the lab lives, and how its processes are
# remembered so that only they are ever ended.

state=${STAGECRAFT_LAB:-/tmp/stagecraft-lab}
cache=${XDG_CACHE_HOME:-/var/cache}/stagecraft-lab
tools=$cache/tools
prefix=${STAGECRAFT_LAB_NET:-10.213.7} # first three numbers of the hosts' network
host_count=5
newer_host=4 # has a newer engine
network=stagecraft-lab
gateway=$prefix.1
# The calling user's home as OpenSSH sees it: from the password database, not $HOME.
user_ssh=$(getent passwd "$(id -u)" | cut -d: -f6)/.ssh
include="Include $state/ssh_config # stagecraft lab"

# The lab needs this machine's own engine, whatever context the caller uses.
export DOCKER_HOST=unix:///var/run/docker.sock DOCKER_CONFIG=$state/docker
unset DOCKER_CONTEXT

say() { printf 'lab: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# A process id alone may be reused; with its start time it is unique.
born() { awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

remember() { printf '%s %s\n' "$2" "$(born "$2")" >"$state/run/$1"; }

alive() {
  local pid when
  [[ -s $state/run/$1 ]] || return 1
  read -r pid when <"$state/run/$1"
  [[ -n $when && $(born "$pid") == "$when" ]]
}

# spawn NAME COMMAND...: a daemon with its own session and log.
spawn() {
  local name=$1
  shift
  setsid "$@" >>"$state/log/$name" 2>&1 </dev/null 9>&- &
  remember "$name" $!
}

# end NAME SIGNAL SECONDS: asks, waits, insists.
end() {
  local pid tries=$(($3 * 20))
  if alive "$1"; then
    read -r pid _ <"$state/run/$1"
    kill "-$2" "$pid" 2>/dev/null || true
    while alive "$1" && ((tries-- > 0)); do sleep 0.05; done
    if alive "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$state/run/$1"
}

# wait_for WHAT SECONDS COMMAND...
wait_for() {
  local what=$1 tries=$(($2 * 10))
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || die "$what is not ready; see $state/log"
    sleep 0.1
  done
}

# Names and ports are this machine's, not the state folder's: one lab at a time.
lock() {
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
}

engine_answers() { docker version >/dev/null 2>&1; }

# The engine's data stays in the cache, so that a second lab finds its images.
start_engine() {
  engine_answers && return
  say "starting this machine's engine"
  # What it changes for good is noted before its first start, for down to undo.
  [[ -e $state/run/engine-found ]] || {
    iptables -S FORWARD 2>/dev/null | head -1
    if ip link show docker0 >/dev/null 2>&1; then echo docker0; fi
  } >"$state/run/engine-found"
  # A killed engine leaves these, and a zombie would count as running.
  local file
  for file in /run/docker.pid /run/docker/containerd/containerd.pid; do
    if [[ -z $(born "$(cat "$file" 2>/dev/null)") ]]; then rm -f "$file"; fi
  done
  spawn engine dockerd --log-level warn --data-root "$cache/engine" --insecure-registry "$prefix.0/24"
  wait_for "the engine" 60 engine_answers
}

host_answers() { ssh -F "$state/ssh_config" -o ConnectTimeout=2 "stagecraft-lab-$1" docker version; }
