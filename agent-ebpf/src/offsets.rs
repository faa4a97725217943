//! Where the running kernel keeps what the programs read: one table, resolved from its BTF.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of an offset whose member this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// A member of a kernel struct: alternatives separated by `|`, an empty path means the size.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Name of the entry in [`Offsets`].
    pub name: &'static str,
    /// Kernel struct.
    pub structure: &'static str,
    /// Path of the member through embedded structs and unions. One that some kernels keep
    /// elsewhere, in another entry, begins with a question mark.
    pub path: &'static str,
}

macro_rules! offsets {
    ($($name:ident = $structure:literal $path:literal;)*) => {
        /// Byte offsets (or sizes), [`ABSENT`] where the kernel lacks the member.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
        pub struct Offsets { $(
            #[doc = concat!("`", $structure, ".", $path, "`")]
            pub $name: u32,
        )* }

        impl Offsets {
            /// Nothing resolved.
            pub const NONE: Self = Self { $($name: ABSENT),* };
        }

        /// What each entry of [`Offsets`] stands for, in its order.
        pub const MEMBERS: &[Member] = &[
            $(Member { name: stringify!($name), structure: $structure, path: $path }),*
        ];
    };
}

offsets! {
    task_pid = "task_struct" "pid";
    task_tgid = "task_struct" "tgid";
    task_thread_pid = "task_struct" "thread_pid";
    task_real_parent = "task_struct" "real_parent";
    task_group_leader = "task_struct" "group_leader";
    task_start_boottime = "task_struct" "start_boottime|real_start_time";
    task_mm = "task_struct" "mm";
    task_nsproxy = "task_struct" "nsproxy";
    task_cred = "task_struct" "cred";
    task_real_cred = "task_struct" "real_cred";
    task_fs = "task_struct" "fs";
    task_files = "task_struct" "files";
    task_cgroups = "task_struct" "cgroups";
    task_signal = "task_struct" "signal";
    task_exit_code = "task_struct" "exit_code";
    task_status = "task_struct" "thread_info.status";
    task_flags = "task_struct" "flags";
    pid_level = "pid" "level";
    signal_live = "signal_struct" "live";
    signal_utime = "signal_struct" "utime";
    signal_stime = "signal_struct" "stime";
    task_utime = "task_struct" "utime";
    task_stime = "task_struct" "stime";
    signal_maxrss = "signal_struct" "maxrss";
    css_set_dfl_cgrp = "css_set" "dfl_cgrp";
    cgroup_kn = "cgroup" "kn";
    cgroup_root = "cgroup" "root";
    cgroup_self = "cgroup" "self";
    cgroup_self_parent = "cgroup" "self.parent";
    cgroup_root_hierarchy = "cgroup_root" "hierarchy_id";
    kernfs_name = "kernfs_node" "name";
    kernfs_id = "kernfs_node" "id";
    nsproxy_mnt = "nsproxy" "mnt_ns";
    mnt_ns_inum = "mnt_namespace" "ns.inum";
    mm_arg_start = "mm_struct" "arg_start";
    mm_arg_end = "mm_struct" "arg_end";
    mm_exe_file = "mm_struct" "exe_file";
    bprm_file = "linux_binprm" "file";
    bprm_buf = "linux_binprm" "buf";
    bprm_filename = "linux_binprm" "filename";
    bprm_interp = "linux_binprm" "interp";
    backing_user_dentry = "backing_file" "?user_path.dentry";
    backing_user_mnt = "backing_file" "?user_path.mnt";
    file_dentry = "file" "f_path.dentry";
    file_mnt = "file" "f_path.mnt";
    file_inode = "file" "f_inode";
    file_mode = "file" "f_mode";
    file_flags = "file" "f_flags";
    file_private = "file" "private_data";
    socket_sk = "socket" "sk";
    dentry_inode = "dentry" "d_inode";
    dentry_parent = "dentry" "d_parent";
    dentry_name = "dentry" "d_name.name";
    dentry_name_len = "dentry" "d_name.len";
    dentry_hash = "dentry" "d_name.hash";
    vfsmount_root = "vfsmount" "mnt_root";
    vfsmount_sb = "vfsmount" "mnt_sb";
    mount_mnt = "mount" "mnt";
    mount_parent = "mount" "mnt_parent";
    mount_mountpoint = "mount" "mnt_mountpoint";
    mount_ns = "mount" "mnt_ns";
    inode_ino = "inode" "i_ino";
    inode_generation = "inode" "i_generation";
    inode_mode = "inode" "i_mode";
    inode_sb = "inode" "i_sb";
    inode_nlink = "inode" "i_nlink";
    inode_size = "inode" "";
    inode_bytes = "inode" "i_size";
    inode_mtime_sec = "inode" "i_mtime.tv_sec|__i_mtime.tv_sec|i_mtime_sec";
    inode_mtime_nsec = "inode" "i_mtime.tv_nsec|__i_mtime.tv_nsec|i_mtime_nsec";
    ovl_vfs_inode = "ovl_inode" "?vfs_inode";
    ovl_lower = "ovl_inode" "?lower";
    ovl_lower_dentry = "ovl_inode" "?lowerpath.dentry";
    ovl_entry = "ovl_inode" "?oe";
    ovl_entry_stack = "ovl_entry" "?__lowerstack";
    ovl_path_dentry = "ovl_path" "?dentry";
    path_dentry = "path" "dentry";
    path_mnt = "path" "mnt";
    sb_magic = "super_block" "s_magic";
    sb_dev = "super_block" "s_dev";
    cred_uid = "cred" "uid";
    cred_effective = "cred" "cap_effective";
    fs_root_mnt = "fs_struct" "root.mnt";
    fs_pwd_dentry = "fs_struct" "pwd.dentry";
    fs_pwd_mnt = "fs_struct" "pwd.mnt";
    files_fdt = "files_struct" "fdt";
    fdt_fd = "fdtable" "fd";
    fdt_max = "fdtable" "max_fds";
    vma_file = "vm_area_struct" "vm_file";
    vma_flags = "vm_area_struct" "vm_flags";
    regs_ip = "pt_regs" "ip";
    sock_family = "sock" "__sk_common.skc_family";
    sock_daddr = "sock" "__sk_common.skc_daddr";
    sock_saddr = "sock" "__sk_common.skc_rcv_saddr";
    sock_daddr6 = "sock" "__sk_common.skc_v6_daddr";
    sock_saddr6 = "sock" "__sk_common.skc_v6_rcv_saddr";
    sock_dport = "sock" "__sk_common.skc_dport";
    sock_num = "sock" "__sk_common.skc_num";
    sock_cgroup = "sock" "sk_cgrp_data.cgroup|sk_cgrp_data.val";
    sock_protocol = "sock" "sk_protocol";
    io_req_opcode = "io_kiocb" "opcode";
    io_req_cmd = "io_kiocb" "cmd";
    io_open_dfd = "io_open" "dfd";
    io_open_flags = "io_open" "how.flags";
    io_open_filename = "io_open" "filename";
    io_rename_old_dfd = "io_rename" "old_dfd";
    io_rename_new_dfd = "io_rename" "new_dfd";
    io_rename_oldpath = "io_rename" "oldpath";
    io_rename_newpath = "io_rename" "newpath";
    io_unlink_dfd = "io_unlink" "dfd";
    io_unlink_filename = "io_unlink" "filename";
    io_unlink_flags = "io_unlink" "flags";
    io_mkdir_dfd = "io_mkdir" "dfd";
    io_mkdir_filename = "io_mkdir" "filename";
    io_link_old_dfd = "io_link" "old_dfd";
    io_link_new_dfd = "io_link" "new_dfd";
    io_link_oldpath = "io_link" "oldpath";
    io_link_newpath = "io_link" "newpath";
    filename_name = "filename" "name";
}
