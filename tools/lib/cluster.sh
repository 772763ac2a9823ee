# Builds the programs of the cluster suite: Kubernetes and the sidecars, in the versions of
# tests/cluster/go.mod. Sourced, not run; `root` is the repository, `go` the toolchain.

cluster_folder="$root/build/cluster"
# As the test itself is built, so that they share Go's cache.
cluster_go=(env CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly "$go")

# What the programs are made of: when it is the same, they are there already.
cluster_stamp() {
  cat "$root"/tests/cluster/{go.mod,go.sum,kubernetes/main.go} "$root/tools/lib/cluster.sh" |
    sha256sum
  "$go" version
}

# Without the version, clients cannot parse the server's.
cluster_version_flags() {
  local version package=k8s.io/component-base/version
  version=$("${cluster_go[@]}" list -m -f '{{.Version}}' k8s.io/kubernetes) || return 1
  local minor=${version#v*.}
  echo "-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
}

compile_cluster() {
  cd "$root/tests/cluster" || return 1
  local flags crds
  flags=$(cluster_version_flags) || return 1
  "${cluster_go[@]}" build -v -p 2 -trimpath -ldflags "$flags" -o "$cluster_folder/" ./kubernetes &&
    "${cluster_go[@]}" build -v -p 2 -trimpath -ldflags '-s -w' -o "$cluster_folder/" tool || return 1
  crds=$("${cluster_go[@]}" list -m -f '{{.Dir}}' \
    github.com/kubernetes-csi/external-snapshotter/client/v8)/config/crd || return 1
  mkdir -p "$cluster_folder/crds"
  install -m 644 "$crds"/*.storage.k8s.io_*.yaml "$cluster_folder/crds"
}

build_cluster() {
  local log="$logs/build-cluster.log" began=$SECONDS stamp compiler
  mkdir -p "$cluster_folder"
  stamp=$(cluster_stamp)
  [[ -e $cluster_folder/stamp && $(<"$cluster_folder/stamp") == "$stamp" ]] && return
  step "Build: Kubernetes and the sidecars (once; about 5 minutes with nothing cached)"
  rm -f "$cluster_folder/stamp"
  (compile_cluster) >"$log" 2>&1 </dev/null &
  compiler=$!
  while kill -0 "$compiler" 2>/dev/null; do
    sleep 1
    if (((SECONDS - began) % 30 == 29)); then say "$(wc -l <"$log") of about 1900 packages"; fi
  done
  wait "$compiler" || {
    tail -n 30 "$log" >&2
    refuse "the build of the cluster's programs failed; the whole log is $log"
  }
  echo "$stamp" >"$cluster_folder/stamp"
  times+=("$(printf '%6s s  build cluster' "$((SECONDS - began))")")
}
