# How our tools speak: steps with times, colours on a terminal only. Sourced, not run.

if [[ -t 1 ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
  bold='' dim='' red='' green='' plain=''
fi

started_at=$(date +%s%N)

# Seconds since the tool began, "12.3".
elapsed() {
  local tenths=$((($(date +%s%N) - started_at) / 100000000))
  echo "$((tenths / 10)).$((tenths % 10))"
}

step() { printf '%s%6ss  %s%s\n' "$bold" "$(elapsed)" "$*" "$plain"; }
say() { printf '         %s\n' "$*"; }
good() { printf '         %s%s%s\n' "$green" "$*" "$plain"; }

# What stopped the tool, and what to do.
refuse() {
  printf '%s%s: %s%s\n' "$red" "$(basename "$0")" "$*" "$plain" >&2
  exit 1
}

# Runs a program whose output matters only when it fails.
quietly() {
  local log code=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || code=$?
  if ((code != 0)); then
    printf '%s%s failed (exit %s):%s\n' "$red" "$*" "$code" "$plain" >&2
    tail -n 40 "$log" >&2
  fi
  rm -f "$log"
  return "$code"
}
