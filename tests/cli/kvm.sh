# Before lib.sh: with BACKEND=kvm the test needs virtual machines and is shown as skipped where there are none.
if [ "$BACKEND" = kvm ] && ! { : <>/dev/kvm; } 2>/dev/null; then
    echo "skipped: /dev/kvm is missing or not ours to open"
    exit 77
fi
