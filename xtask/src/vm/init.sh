#!/bin/busybox sh
# The guest's first program: makes the host's files its root, then becomes the second (guest.sh).
# What it is told is in /settings: $out, the directory it may write to, and $modules.

/bin/busybox --install -s /bin
export PATH=/bin

try() {
    "$@" && return
    echo "guest: \`$*\` failed"
    poweroff -f
}

. /settings
for module in /modules/*.ko; do
    [ -e "$module" ] && try insmod "$module"
done
try mount -t virtiofs host /host
try mount -t tmpfs upper /upper
mkdir /upper/files /upper/work
try mount -t overlay -o lowerdir=/host,upperdir=/upper/files,workdir=/upper/work root /root
try mkdir -p "/root$out" /root/lib/modules
try mount -o bind "/host$out" "/root$out"
# Of the host's files, only that one directory can be written to.
try mount -t proc proc /proc
try mount -o remount,bind,ro /host
umount /proc
try mount -o bind "/host$modules" /root/lib/modules

try mount -t tmpfs -o size=90% run /root/run
mkdir /root/run/plimsoll
cp /bin/busybox /settings /guest /docker /command /root/run/plimsoll
# Not a child that calls chroot: the kernel looks for modprobe where its first program has its root.
exec switch_root /root /run/plimsoll/guest
