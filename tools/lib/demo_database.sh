# tools/demo's databases, their clients and the checks. Sourced, not run.

postgres_programs=/usr/lib/postgresql/15/bin
clients=4

as_postgres() { (cd / && runuser -u postgres -- "$@"); }
data_folder() { echo "$(target "$1")/pgdata"; }
port_of() { if [[ $1 == first ]]; then echo 5501; else echo 5502; fi; }
connection() { echo "host=$work/sockets port=$(port_of "$1") dbname=${2:-bank} user=postgres"; }

sql() { as_postgres "$postgres_programs/psql" -XqAt -v ON_ERROR_STOP=1 "$(connection "$1")" -c "$2"; }

init_database() {
  quietly as_postgres "$postgres_programs/initdb" --pgdata "$(data_folder "$1")" --data-checksums \
    --auth trust --no-locale --encoding UTF8
  cat >>"$(data_folder "$1")/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$work/sockets'
shared_buffers = 64MB
max_wal_size = 256MB
full_page_writes = on
fsync = on
END
}

start_database() {
  quietly as_postgres "$postgres_programs/pg_ctl" start --wait --timeout 120 --silent \
    --pgdata "$(data_folder "$1")" --log "$work/sockets/$1.log" -o "-p $(port_of "$1")" ||
    { tail -n 20 "$work/sockets/$1.log" >&2; refuse "PostgreSQL does not start on the $1 volume"; }
}

# volume, mode of the stop
stop_database() {
  [[ -e $(data_folder "$1")/postmaster.pid ]] || return 0
  quietly as_postgres "$postgres_programs/pg_ctl" stop --wait --silent --mode "${2:-fast}" \
    --pgdata "$(data_folder "$1")"
}

recovery_line() {
  grep -E 'redo (starts|done)|was interrupted' "$work/sockets/$1.log" |
    sed 's/.*LOG: *//' | tr '\n' ';' | sed 's/;$//; s/;/; /g'
}

fill_bank() {
  quietly as_postgres "$postgres_programs/createdb" -h "$work/sockets" -p "$(port_of "$1")" bank
  sql "$1" "
    CREATE EXTENSION amcheck;
    CREATE TABLE branches (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
    CREATE TABLE tellers (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
    CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
    CREATE TABLE history (id bigint PRIMARY KEY, teller int, branch int, account int, delta int,
                          at timestamptz);
    INSERT INTO branches SELECT generate_series(1, 4);
    INSERT INTO tellers SELECT generate_series(1, 40);
    INSERT INTO accounts SELECT generate_series(1, 100000);"
}

start_clients() {
  "$bank_program" --database "$(connection "$1")" --log-folder "$work/witness" \
    --clients "$clients" --accounts 100000 >"$work/clients.out" 2>"$work/clients.err" </dev/null &
  clients_pid=$!
}

stop_clients() {
  kill -TERM "$clients_pid" 2>/dev/null || true
  local code=0
  wait "$clients_pid" || code=$?
  clients_pid=''
  [[ $code == 0 ]] || refuse "a client failed: $(cat "$work/clients.err")"
  good "$(cat "$work/clients.out") transactions acknowledged in all, none failed"
}

# Every id that was acknowledged until now. Half a line was not synced yet.
acknowledged() {
  find "$work/witness" -name 'client-*' -exec awk '/^[0-9]+$/ && length($0) >= 10' {} + | sort
}

wait_for_acknowledged() {
  local i count=0
  for i in {1..600}; do
    count=$(acknowledged | wc -l)
    ((count >= $1)) && return 0
    kill -0 "$clients_pid" 2>/dev/null || refuse "a client failed: $(cat "$work/clients.err")"
    sleep 0.1
  done
  refuse "expected $1 acknowledged transactions within a minute, found $count"
}

# The checker: which of the ids in a file does the database not have?
absent() {
  comm -23 "$2" <(sql "$1" 'SELECT id FROM history' | sort)
}

check_restored() {
  local missing control
  local asked late
  asked=$(wc -l <"$work/acked-before")
  late=$(wc -l <"$work/acked-after")
  missing=$(absent second "$work/acked-before" | wc -l)
  ((asked > 0 && missing == 0)) ||
    refuse "expected all $asked acknowledged transactions, $missing are absent"
  good "all $asked transactions acknowledged before CreateSnapshot are there"
  control=$(absent second "$work/acked-after" | wc -l)
  ((late > 0 && control == late)) ||
    refuse "expected the checker to miss all $late transactions made after the cut, found $control"
  good "control: the same checker reports all $control transactions made after the cut as absent"
  check_books second "the restored volume"
}

# Sums over the tables agree, and no index or heap is damaged.
check_books() {
  local sums
  sums=$(sql "$1" "SELECT count(DISTINCT sum), min(sum), (SELECT count(*) FROM history) FROM (
    SELECT sum(balance) AS sum FROM accounts UNION ALL SELECT sum(balance) FROM tellers
    UNION ALL SELECT sum(balance) FROM branches UNION ALL SELECT sum(delta) FROM history) AS sums")
  [[ ${sums%%|*} == 1 ]] || refuse "expected one sum in all four tables, found $sums"
  quietly as_postgres "$postgres_programs/pg_amcheck" -h "$work/sockets" -p "$(port_of "$1")" \
    -U postgres --heapallindexed bank || refuse "amcheck found damage"
  good "$2: ${sums##*|} transactions, the sums agree, amcheck finds nothing"
}
