# What the guest does for the report: the kernel's facts, the agent's, then the tests.
# Run by bash in the guest, after $live, $tests and $patience are set.

uname -r >"$VM_OUT/release"
cat /sys/kernel/security/lsm >"$VM_OUT/lsm"

"$PLIMSOLL_BIN" run --output none --data-dir /tmp/facts --metrics-listen 127.0.0.1:9465 2>"$VM_OUT/agent.log" &
agent=$!
until grep -qw ready "$VM_OUT/agent.log"; do
    if ! kill -0 $agent 2>/dev/null; then
        cat "$VM_OUT/agent.log"
        exit 1
    fi
    sleep 0.2
done
/run/plimsoll/busybox wget -q -O "$VM_OUT/metrics" http://127.0.0.1:9465/metrics
kill -TERM $agent
wait $agent

export PLIMSOLL_TEST_PATIENCE=$patience
"$live" --test-threads=2 --show-output --exact $tests 2>&1 | tee "$VM_OUT/tests"
failed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$VM_OUT/tests" | sort -u)
# What took too long beside another test has the machine to itself.
[ -z "$failed" ] || "$live" --test-threads=1 --show-output --exact $failed 2>&1 | tee "$VM_OUT/tests.again"
