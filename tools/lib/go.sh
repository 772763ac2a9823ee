# Finds a Go that is new enough for the test modules. Sourced, not run; `root` is the repository.

go_wanted=1.26
go_folder="$root/build/go"

go_is_new_enough() {
  [[ -x $1 ]] || return 1
  local version
  version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
  [[ $(printf '%s\n' "$go_wanted" "${version#go}" | sort -V | head -n 1) == "$go_wanted" ]]
}

# The path of such a go; fails when there is none.
find_go() {
  local candidate
  for candidate in "$(type -P go || true)" /usr/local/go/bin/go "$go_folder/bin/go"; do
    if go_is_new_enough "$candidate"; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}
