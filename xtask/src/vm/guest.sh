#!/run/plimsoll/busybox sh
# The guest's second program: mounts what an init system would, runs the command, and turns off.
# $out, $directory, $binary, $images and $kernel come from the settings.

. /run/plimsoll/settings
bin=/run/plimsoll/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb NO_COLOR=1 LC_ALL=C.UTF-8
export VM_OUT=$out PLIMSOLL_BIN=$binary

place() {
    $bin mkdir -p "$2"
    $bin mount -t "$1" "$1" "$2" || echo "guest: no $1 at $2"
}

place proc /proc
place sysfs /sys
place devtmpfs /dev
place devpts /dev/pts
place tmpfs /dev/shm
$bin ln -s /proc/self/fd /dev/fd
place cgroup2 /sys/fs/cgroup
place bpf /sys/fs/bpf
place securityfs /sys/kernel/security
place tracefs /sys/kernel/tracing
# QEMU may run on in code that the kernel has just patched, and the guest dies of it. So that the kernel
# need not patch its tracepoints whenever an agent comes or goes, each has two users that do nothing:
# events that only another would enable, which is not to happen.
for user in 1 2; do
    events=/sys/kernel/tracing/instances/user$user/events
    $bin mkdir /sys/kernel/tracing/instances/user$user
    for event in raw_syscalls:sys_exit sched:sched_process_exec sched:sched_process_fork \
        sched:sched_process_exit signal:signal_generate sock:inet_sock_set_state \
        cgroup:cgroup_mkdir cgroup:cgroup_rmdir cgroup:cgroup_attach_task \
        io_uring:io_uring_submit_req capability:cap_capable; do
        [ -d "$events/${event%:*}/${event#*:}" ] || continue
        echo "enable_event:$event" >"$events/oom/mark_victim/trigger" || echo "guest: $event is patched"
    done
done
$bin hostname "vm-$kernel"
$bin ip link set lo up

# A disk in memory: on a tmpfs, volumes and mounts of containers would pass for one.
disk=/run/plimsoll/disk
$bin truncate -s 2G $disk.image
mkfs.ext4 -q -O ^has_journal -E nodiscard $disk.image || echo "guest: no disk"
$bin mkdir $disk
mount -o loop,noatime $disk.image $disk
# A workspace below /tmp is to stay.
case "$directory" in /tmp/*)
    workspace=/run/plimsoll/workspace
    $bin mkdir -p $workspace "$disk$directory"
    $bin mount -o rbind "$directory" $workspace
    ;;
esac
for on_disk in /tmp /var/lib/docker /var/lib/containerd; do
    $bin mkdir -p $on_disk $disk$on_disk
    $bin mount -o bind $disk$on_disk $on_disk
done
[ -z "$workspace" ] || $bin mount -o rbind $workspace "$directory"
$bin chmod 1777 /tmp /dev/shm

cd "$directory" || cd /
# Without $images nobody asked for Docker.
if [ -z "$images" ] || . /run/plimsoll/docker; then
    bash /run/plimsoll/command
    echo $? >"$out/exit"
fi
$bin dmesg >"$out/dmesg"
$bin poweroff -f
