#!/bin/sh
# Defects that this would catch: a recipe for Slurm in docs/scale.md that Slurm refuses, an array that leaves out a job or runs one twice,
# ranks that do not find each other in an allocation. A controller, a node and munge of its own run below a folder, as root; where that
# cannot be the test is shown as skipped.   slurm.sh JAVM_BATCH MKIMAGE DOCUMENT FOLDER_OF_PREBUILT_IMAGES
for tool in munged slurmctld slurmd sbatch mpirun; do
    if ! PATH=$PATH:/usr/sbin command -v $tool >/dev/null; then
        echo "SKIPPED: slurm needs $tool (Debian: slurm-wlm, munge, openmpi-bin; scripts/install-deps.sh --tools)"
        exit 77
    fi
done
if [ "$(id -u)" -ne 0 ]; then
    echo "SKIPPED: slurm needs root, for a node of its own"
    exit 77
fi
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
awk '/^```file / { to = $2; next } /^```$/ { to = ""; next } to != "" { print >to }' "$3"
cp -r "$4" programs
PATH=$(dirname "$PROGRAM"):$PATH:/usr/sbin
export PATH OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 SLURM_CONF="$DIR/slurm.conf"

port=$((20000 + $$ % 20000))
name=$(hostname -s)
mkdir state spool
dd if=/dev/urandom of=key bs=64 count=1 2>/dev/null
chmod 600 key
cat >slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.sock
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
NodeName=$name NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$name Default=YES MaxTime=INFINITE State=UP
CONF
munged -F --force -S "$DIR/munge.sock" --key-file "$DIR/key" --pid-file "$DIR/munged.pid" --log-file "$DIR/munged.log" \
    --seed-file "$DIR/seed" 2>munged.err &
MUNGED=$!
CONTROLLER=
NODE=
end_all() {
    for child in $NODE $CONTROLLER $MUNGED; do
        kill "$child" 2>/dev/null
        wait "$child" 2>/dev/null
    done
}
trap 'end_all; rm -rf "$DIR"' EXIT
await $MUNGED [ -S munge.sock ] || fail "munged: $(cat munged.err)"
slurmctld -D >controller.log 2>&1 &
CONTROLLER=$!
slurmd -D >node.log 2>&1 &
NODE=$!
idle() {
    sinfo -h -o %t 2>/dev/null | grep -q idle
}
if ! await $NODE idle; then
    cat controller.log node.log
    fail "no node comes up"
    finish
fi

"$PROGRAM" --progress none --ordered --reproducible --output one jobs.ndjson 2>/dev/null
sort one >one.sorted
submit() {
    sbatch --wait --output "$DIR/job.%A.%a" "$@" >submitted 2>&1 || { cat submitted "$DIR"/job.*; return 1; }
}
check "the array runs" submit shards.sbatch
sort jobs.?-of-4.results.ndjson >shards.sorted
check "its results are those of one run" cmp one.sorted shards.sorted
head -n 20 jobs.2-of-4.results.ndjson >cut && mv cut jobs.2-of-4.results.ndjson
check "the array runs again" submit shards.sbatch
sort jobs.?-of-4.results.ndjson >shards.sorted
check "and does what was missing" cmp one.sorted shards.sorted
check "ranks run" submit --nodes=1 ranks.sbatch # one node is all there is
check "their results are those of one run" cmp one ranks.ndjson
finish
