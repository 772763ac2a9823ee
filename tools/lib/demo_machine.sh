# tools/demo's pool, driver and volumes. Sourced, not run. Everything lies under $work.

pool_bytes=$((12 << 30))
driver_pid='' pool_loop='' finished='' snapshot='' first='' second=''
clients_pid=''

build_release() {
  quietly cmake --preset release -S "$root" || refuse "cmake could not configure the build"
  local log=$1/demo-build.log
  if ! cmake --build "$1" --target holdfast holdfastctl holdfast_csi holdfast_bank 2>&1 |
    tee "$log" | show_progress; then
    grep -E -A 12 'error:|FAILED' "$log" | head -n 60 >&2
    refuse "the build failed; the whole log is $log"
  fi
}

# One moving line on a terminal, every tenth step elsewhere.
show_progress() {
  local line
  while IFS= read -r line; do
    if [[ -t 1 ]]; then
      printf '\r\e[K         %.100s' "$line"
    elif [[ $line =~ ^\[[0-9]*0/ ]]; then
      say "$line"
    fi
  done
  if [[ -t 1 ]]; then printf '\r\e[K'; fi
}

# CAP_SYS_RESOURCE is what the kernel wants for growing a mounted ext4.
filesystem_for_growing() {
  local effective
  effective=$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status)
  if (((0x$effective >> 24) & 1)); then echo ext4; else echo xfs; fi
}

prepare_machine() {
  local program
  csi_program=$bin/tests/holdfast_csi bank_program=$bin/tests/holdfast_bank
  for program in "$bin/holdfast" "$bin/holdfastctl" "$csi_program" "$bank_program"; do
    [[ -x $program ]] || refuse "expected holdfast, holdfastctl, holdfast_csi and holdfast_bank in $bin; build them first"
  done
  work=$(mktemp -d "${TMPDIR:-/var/tmp}/holdfast-demo.XXXXXX")
  chmod 755 "$work" # postgres must get through
  mkdir -p "$work"/{pool,kubelet,run,witness,by-hand} "$work"/kubelet/{first,second}
  mkdir "$work"/sockets
  chown postgres: "$work"/sockets
  fs_type=$(filesystem_for_growing)
  endpoint="unix://$work/csi.sock"
}

csi() { "$csi_program" --endpoint "$endpoint" "$@"; }
ctl() { "$bin/holdfastctl" --pool "$work/pool" --admin-socket "$work/run/admin.sock" "$@"; }

make_pool() {
  truncate -s "$pool_bytes" "$work/pool.img"
  # Not every filesystem below can do direct I/O; the pool does not need it to.
  pool_loop=$(losetup --find --show --direct-io=on "$work/pool.img" 2>/dev/null ||
    losetup --find --show "$work/pool.img")
  quietly mkfs.xfs -q -m reflink=1 "$pool_loop"
  mount "$pool_loop" "$work/pool"
  say "$("$bin/holdfastctl" pool init "$work/pool" --name demo)"
}

start_driver() {
  "$bin/holdfast" all --endpoint "$endpoint" --pool "$work/pool" --node-id demo-node \
    --kubelet-root "$work/kubelet" --run-folder "$work/run" --trash-grace 0 \
    >>"$work/driver.log" 2>&1 </dev/null &
  driver_pid=$!
  local i
  for i in {1..100}; do
    if [[ $(csi Probe --timeout 2 --field ready 2>/dev/null) == true ]]; then
      say "ready, pid $driver_pid: $(csi GetPluginInfo --field name) $(csi GetPluginInfo --field vendor_version)"
      return 0
    fi
    kill -0 "$driver_pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$work/driver.log" >&2
  refuse "expected a ready driver, found the log above"
}

stop_driver() {
  kill -TERM "$driver_pid"
  local code=0
  wait "$driver_pid" || code=$?
  driver_pid=''
  [[ $code == 0 ]] || refuse "expected the driver to stop with 0, found $code; see above"
}

kill_and_restart_driver() {
  local acked
  acked=$(acknowledged | wc -l)
  kill -KILL "$driver_pid"
  wait "$driver_pid" 2>/dev/null || true
  say "killed; the database goes on without it"
  wait_for_acknowledged $((acked + 100))
  start_driver
  stage "$first" first # a repeated call: nothing to do
  publish "$first" first
  csi NodeGetVolumeStats "{\"volume_id\": \"$first\", \"volume_path\": \"$(target first)\"}" >/dev/null
  wait_for_acknowledged $((acked + 200))
  good "$(($(acknowledged | wc -l) - acked)) transactions acknowledged meanwhile, none failed"
}

# --- Volumes: $1 is the id, $2 the name of its folder below the kubelet's --------------------------

staging() { echo "$work/kubelet/$1/staging"; }
target() { echo "$work/kubelet/$1/target"; }

capability() {
  printf '{"mount": {"fs_type": "%s"}, "access_mode": {"mode": "SINGLE_NODE_WRITER"}}' "$fs_type"
}

# name, bytes, more of the request
create_volume() {
  csi CreateVolume --field volume/volume_id "{\"name\": \"$1\",
    \"capacity_range\": {\"required_bytes\": $2}, \"volume_capabilities\": [$(capability)],
    \"parameters\": {\"rootMode\": \"0700\", \"rootOwner\": \"$(id -u postgres):$(id -g postgres)\"}
    ${3:-}}"
}

stage() {
  mkdir -p "$(staging "$2")"
  csi NodeStageVolume "{\"volume_id\": \"$1\", \"staging_target_path\": \"$(staging "$2")\",
    \"volume_capability\": $(capability)}" >/dev/null
}

publish() {
  csi NodePublishVolume "{\"volume_id\": \"$1\", \"staging_target_path\": \"$(staging "$2")\",
    \"target_path\": \"$(target "$2")\", \"volume_capability\": $(capability)}" >/dev/null
}

unpublish() {
  csi NodeUnpublishVolume \
    "{\"volume_id\": \"$1\", \"target_path\": \"$(target "$2")\"}" >/dev/null
}

unstage() {
  csi NodeUnstageVolume \
    "{\"volume_id\": \"$1\", \"staging_target_path\": \"$(staging "$2")\"}" >/dev/null
}

grow_first() {
  local before path=$work/kubelet/first/target
  before=$(df -h --output=size "$path" | tail -n 1)
  csi ControllerExpandVolume "{\"volume_id\": \"$first\",
    \"capacity_range\": {\"required_bytes\": $((2 << 30))}}" >/dev/null
  csi NodeExpandVolume "{\"volume_id\": \"$first\", \"volume_path\": \"$path\",
    \"staging_target_path\": \"$(staging first)\", \"volume_capability\": $(capability)}" >/dev/null
  good "df says$before before,$(df -h --output=size "$path" | tail -n 1) after"
  local blocks
  blocks=$(df --output=size -B1 "$path" | tail -n 1)
  ((blocks > size * 3 / 2)) || refuse "expected a filesystem of about 2 GiB, found $blocks bytes"
}

# As a bad update would: by hand, past the driver, while the volume is put away.
change_root_mode() {
  local incarnation
  incarnation=$(ctl volume inspect "$1" --json | sed -n 's/.*"incarnation": "\(.*\)".*/\1/p')
  mount -o loop "$work/pool/volumes/$incarnation.img" "$work/by-hand"
  chmod "$2" "$work/by-hand"
  umount "$work/by-hand"
}

refused_twice() {
  local once again
  if once=$(stage "$1" "$2" 2>&1); then refuse "expected a refusal, and it was staged"; fi
  if again=$(stage "$1" "$2" 2>&1); then refuse "expected a second refusal, and it was staged"; fi
  say "NodeStageVolume: $once"
  [[ $once == "$again" ]] || refuse "expected the same sentence again, found: $again"
  [[ $once == *0700*2770* ]] || refuse "expected a sentence with 0700 and 2770, found: $once"
  ! mountpoint -q "$(staging "$2")" || refuse "expected nothing mounted after a refusal"
  good "the same sentence again; nothing was mounted where a pod could see it"
}

delete_everything() {
  stop_database second
  unpublish "$second" second
  unstage "$second" second
  unpublish "$first" first
  unstage "$first" first
  csi DeleteSnapshot "{\"snapshot_id\": \"$snapshot\"}" >/dev/null
  csi DeleteVolume "{\"volume_id\": \"$second\"}" >/dev/null
  csi DeleteVolume "{\"volume_id\": \"$first\"}" >/dev/null
  local volumes snapshots
  volumes=$(csi ListVolumes)
  snapshots=$(csi ListSnapshots)
  [[ $volumes == '{}' && $snapshots == '{}' ]] ||
    refuse "expected no volume and no snapshot, found $volumes $snapshots"
  say "ListVolumes and ListSnapshots are empty"
}

# --- The end --------------------------------------------------------------------------------------

our_mounts() { awk -v folder="$work/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo; }

# "loop7 /…/pool/volumes/x.img" of every loop device on a file of ours.
our_loops() {
  local file backing device
  for file in /sys/block/loop*/loop/backing_file; do
    backing=$(cat "$file" 2>/dev/null) || continue
    device=${file#/sys/block/}
    if [[ $backing == "$work"/* ]]; then echo "${device%%/*} $backing"; fi
  done
}

remove_pool() {
  umount "$work/pool"
  losetup --detach "$pool_loop"
  local i
  for i in {1..50}; do
    [[ -z $(our_loops) ]] && break
    sleep 0.1
  done
}

nothing_left() {
  local left
  left="$(our_mounts)$(our_loops)"
  [[ -z $left ]] || refuse "expected nothing left, found: $left"
  left=$(pgrep -f "$work/" || true)
  [[ -z $left ]] || refuse "expected no process left, found pids: $left"
  rm -rf --one-file-system "$work"
}

# Every end comes through here. Only what we made is touched.
clean_up() {
  local code=$? mounted loop i
  trap '' INT TERM
  trap - EXIT
  [[ -n $finished ]] && exit "$code"
  set +e
  printf '%sThe demo stopped early (exit %s); cleaning up.%s\n' "$red" "$code" "$plain" >&2
  if ((code != 130 && code != 143)) && [[ -e $work/driver.log ]]; then
    echo "The driver's last lines:" >&2
    tail -n 15 "$work/driver.log" >&2
  fi
  [[ -n $clients_pid ]] && kill -TERM "$clients_pid" 2>/dev/null
  stop_database first immediate 2>/dev/null
  stop_database second immediate 2>/dev/null
  [[ -n $driver_pid ]] && kill -TERM "$driver_pid" 2>/dev/null
  wait 2>/dev/null
  for i in {1..50}; do # a filesystem is busy until the loop device on it has gone
    while read -r mounted; do umount "$mounted" 2>/dev/null; done < <(our_mounts | sort -r)
    [[ -z $(our_mounts) ]] && break
    sleep 0.1
  done
  while read -r loop _; do losetup --detach "/dev/$loop"; done < <(our_loops)
  if [[ -z $(our_mounts) ]]; then
    rm -rf --one-file-system "$work"
  else
    echo "left for you to look at: $work" >&2
  fi
  exit "$((code == 0 ? 1 : code))"
}
