# tools/test's building, running and counting. Sourced, not run.

passed=0 failed=0 skipped=0
skips=() failures=() times=() reasons=()

in_folder() { (cd "$1" && shift && GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$@"); }

# preset, targets: nothing to build when there are none
build() {
  local preset=$1 log="$logs/build-$1.log" began=$SECONDS
  shift
  (($#)) || return 0
  step "Build: $preset ($*)"
  if ! (cd "$root" && cmake --preset "$preset") >"$log" 2>&1 </dev/null ||
    ! cmake --build "$root/build/$preset" --target "$@" >>"$log" 2>&1 </dev/null; then
    grep -E -A 12 'error:|FAILED|CMake Error' "$log" | head -n 80
    refuse "the $preset build failed; the whole log is $log"
  fi
  times+=("$(printf '%6s s  build %s' "$((SECONDS - began))" "$preset")")
}

# --- Running --------------------------------------------------------------------------------------

# "loop7 /var/…" of every loop device that has a backing file.
loops_now() {
  local file
  for file in /sys/block/loop*/loop/backing_file; do
    [[ -e $file ]] && echo "$(cut -d/ -f4 <<<"$file") $(cat "$file" 2>/dev/null)"
  done | sort
}

# What is a suite's own is told by the random name of its folder, which nothing of another program
# that runs beside it has.

# Loop devices with a file below the folder $1. A file whose mount went with the namespace is named
# from that mount's root on: tests/powercut/disk_file.h has the folder in it all the same. An image
# that is left in such a pool keeps the loop device of the pool's disk.
loops_of_suite() { loops_now | grep -F "${1##*/}" || true; }

# "123 /path/of/holdfast all --endpoint …" of every process with the folder $1 in its environment
# (TMPDIR) or its command line: what the suite started, and what that started.
processes_of_suite() {
  local pid line
  # The pattern from a descriptor: grep's own command line would be found.
  grep -lzFf <(echo "${1##*/}") /proc/[0-9]*/{environ,cmdline} 2>/dev/null |
    cut -d/ -f3 | sort -nu | while read -r pid; do
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")
    if [[ -n $line ]]; then echo "$pid ${line:0:200}"; fi # it may have ended meanwhile
  done
}

# Runs inside the private namespace: the test, and then what is still mounted.
in_namespace='
  before=$(cut -d" " -f5 /proc/self/mountinfo | sort)
  "$@" </dev/null
  code=$?
  left=$(comm -13 <(echo "$before") <(cut -d" " -f5 /proc/self/mountinfo | sort))
  if [[ -n $left ]]; then echo "LEFT MOUNTED: $left"; fi
  exit $code'

# suite, counter, program…
run_suite() {
  local suite=$1 counter=$2 log="$logs/$1.log" began=$SECONDS code folder line
  shift 2
  step "Suite $suite"
  folder=$(mktemp -d "/var/tmp/holdfast-$suite.XXXXXX")
  chmod 755 "$folder" # the demo's database is another user
  export -f in_folder
  TMPDIR=$folder TEST_TMPDIR=$folder unshare -m --propagation private \
    bash -c "$in_namespace" bash "$@" >"$log" 2>&1
  code=$?
  local before=$((passed + failed)) failed_before=$failed skipped_before=$skipped
  "$counter" "$suite" "$log" "$code"
  ((passed + failed > before)) || fail "$suite: ran no test"
  look_for_leftovers "$suite" "$log" "$folder"
  if ((failed == failed_before && code != 0)); then fail "$suite: exit $code without a failed test"; fi
  if ((failed > failed_before)); then
    show_failures "$suite" "$log"
    reasons+=("$(reasons_of "$suite" "$log")")
  fi
  # A suite of random tests says its seed and what it reached.
  while read -r line; do say "$line"; done < <(grep "^$suite: " "$log")
  times+=("$(printf '%6s s  %s' "$((SECONDS - began))" "$suite")")
  local ran=$((passed + failed - before)) bad=$((failed - failed_before))
  say "$((ran - bad)) passed, $bad failed, $((skipped - skipped_before)) skipped in $((SECONDS - began)) s"
}

fail() {
  failures+=("$1")
  ((++failed))
}

look_for_leftovers() {
  local suite=$1 log=$2 folder=$3 left loops processes i
  while read -r left; do fail "$suite: $left"; done < <(grep '^LEFT MOUNTED' "$log")
  for i in {1..30}; do # a detach finishes when the last user has gone, an end takes its time
    loops=$(loops_of_suite "$folder")
    processes=$(processes_of_suite "$folder")
    [[ -z $loops$processes ]] && break
    sleep 0.1
  done
  if [[ -n $loops ]]; then fail "$suite: left attached: ${loops//$'\n'/, }"; fi
  if [[ -n $processes ]]; then fail "$suite: left running: ${processes//$'\n'/, }"; fi
  # Go keeps its build files here while it runs, and removes them.
  left=$(find "$folder" -mindepth 1 -maxdepth 1 -printf '%f ')
  if [[ -n $left ]]; then fail "$suite: left in $folder: $left"; else rmdir "$folder"; fi
}

# What a failed test printed, from the log.
show_failures() {
  printf '%s%s: failures (all of it in %s):%s\n' "$red" "$1" "$2" "$plain"
  awk '
    /^\[ RUN      \]/ { text = ""; running = 1 }
    { text = text $0 "\n" }
    /^\[       OK \]|^\[  SKIPPED \]/ { running = 0 }
    /^\[  FAILED  \] .*\([0-9]+ ms\)/ { printf "%s", text; running = 0; any = 1 }
    END { if (running) printf "%s", text; if (!any && !running) exit 1 }
  ' "$2" | head -n 200
  if ((PIPESTATUS[0] != 0)); then
    grep -E -A 12 -- '--- FAIL|\[FAIL(ED)?\]|panic|ERROR: (Address|Leak)|runtime error|demo: ' "$2" |
      head -n 120 || tail -n 40 "$2"
  fi
}

# The first lines of a suite's failures, short enough to stand beside the names at the end: of a long
# output often only that is kept.
reasons_of() {
  show_failures "$@" | grep -aE -A 5 -- ': Failure$|--- FAIL|\[FAIL\]|panic|ERROR: |runtime error' |
    cut -c 1-500 | head -n 30
}

# --- Counting -------------------------------------------------------------------------------------

# Lines "pass NAME", "fail NAME", "skip NAME: reason" become numbers and lists.
take() {
  local suite=$1 kind name
  while read -r kind name; do
    case $kind in
      pass) ((++passed)) ;;
      fail) fail "$suite: $name" ;;
      skip)
        ((++skipped))
        skips+=("$suite: $name")
        ;;
    esac
  done
}

# A test that began and never ended (a crash, a sanitizer's report) has failed. `failed_before` is
# run_suite's.
count_gtest() {
  take "$1" < <(awk '
    /^\[ RUN      \] / { running = $4; reason = ""; next }
    /^\[       OK \] / { print "pass " $4; running = ""; next }
    /^\[  FAILED  \] .*\([0-9]+ ms\)/ { sub(/,$/, "", $4); print "fail " $4; running = ""; next }
    /^\[  SKIPPED \] .*\([0-9]+ ms\)/ { print "skip " $4 ":" reason; running = ""; next }
    running != "" && !/: Skipped$/ { reason = reason " " $0 }
    END { if (running != "") print "fail " running " did not end" }
  ' "$2")
  if ((failed == failed_before)) && ! grep -q '^\[==========\] .* ran\.' "$2"; then
    fail "$1: did not run to its end"
  fi
}

# Tests without subtests below them; the reason of a skip is the line before or after it.
count_go() {
  take "$1" < <(awk '
    /^ *--- (PASS|FAIL|SKIP): / {
      sub(/:$/, "", $2)
      kind[++n] = tolower($2); name[n] = $3; reason[n] = before
      parent = $3
      while (sub(/\/[^\/]*$/, "", parent)) has_subtests[parent] = 1
    }
    /^ +[a-z_]+\.go:[0-9]+: / { before = $0; sub(/^ *[^ ]* /, "", before) }
    END { for (i = 1; i <= n; ++i) if (!(name[i] in has_subtests))
        print kind[i], name[i] (kind[i] == "skip" ? ": " reason[i] : "") }
  ' "$2")
  if grep -qE '\[build failed\]|\[setup failed\]|^panic: ' "$2"; then fail "$1: did not build or run"; fi
}

# csi-sanity counts its specifications itself, a line for each configuration; a specification is
# skipped only where the test's own list has its capability as not offered.
count_sanity() {
  local name p f s
  while IFS='|' read -r name p f s; do
    ((passed += p, skipped += s))
    while ((f-- > 0)); do fail "$1: $name"; done
    if ((s)); then
      skips+=("$1: $name: $s specifications of capabilities that are not offered (tests/sanity/counts_test.go)")
    fi
  done < <(sed -nE 's/^(.*): ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1|\2|\3|\4/p' "$2")
  if ! grep -q '^--- PASS: TestSanity' "$2"; then fail "$1: TestSanity did not pass"; fi
}

# "pass NAME: …", "fail NAME: …": a program that counts for itself.
count_lines() { take "$1" < <(grep -E '^(pass|fail) ' "$2"); }

count_demo() {
  if (($3 == 0)) && grep -q 'Done in' "$2"; then take "$1" <<<"pass demo"; else fail "$1: exit $3"; fi
}

# --- The end --------------------------------------------------------------------------------------

summary() {
  local line
  step "Took"
  for line in "${times[@]}"; do say "$line"; done
  say "$(printf '%6s s  all' "$SECONDS")"
  if ((${#skips[@]})); then
    step "Skipped"
    for line in "${skips[@]}"; do say "$line"; done
  fi
  if ((${#failures[@]})); then
    step "Failed"
    for line in "${failures[@]}"; do printf '         %s%s%s\n' "$red" "$line" "$plain"; done
    for line in "${reasons[@]}"; do if [[ -n $line ]]; then echo "$line"; fi; done
  fi
  echo "$passed passed, $failed failed, $skipped skipped"
  ((failed == 0))
}
