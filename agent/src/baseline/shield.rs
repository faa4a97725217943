//! What no learning may excuse: writes that no template covers, acts that are never learned.

use plimsoll_ebpf::{events::privilege::op, layer::code};

use super::dimension::{Context, Dimension};
use crate::attribution::normal::base;

/// Endings of files that something may run or obey.
const ENDINGS: [&str; 22] = [
    "so", "sh", "bash", "py", "pth", "php", "phtml", "phar", "jsp", "jspx", "war", "asp", "aspx",
    "ashx", "pl", "rb", "lua", "cgi", "service", "timer", "cron", "ko",
];
/// Files, and directories with all that is below them, that decide who may do what or what runs.
const PLACES: [&str; 22] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/pam.d",
    "/etc/init.d",
    "/etc/systemd",
    "/var/spool/cron",
    "/lib/systemd",
    "/usr/lib/systemd",
];
/// Names that mean the same wherever they lie.
const NAMES: [&str; 9] = [
    ".htaccess",
    ".user.ini",
    "authorized_keys",
    "authorized_keys2",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".ssh",
];
/// `include/uapi/linux/stat.h`
const EXECUTABLE: u32 = 0o111;

/// Programs that a service has hardly ever a reason to run once it has started, though its image
/// holds them: they look around, build, install, or carry a shell elsewhere.
const TOOLS: [&str; 34] = [
    "nc",
    "ncat",
    "netcat",
    "nc.traditional",
    "nc.openbsd",
    "socat",
    "nmap",
    "masscan",
    "telnet",
    "tcpdump",
    "tshark",
    "gdb",
    "strace",
    "ltrace",
    "nsenter",
    "unshare",
    "chroot",
    "gcc",
    "cc",
    "tcc",
    "clang",
    "as",
    "ld",
    "apt",
    "apt-get",
    "dpkg",
    "apk",
    "yum",
    "dnf",
    "rpm",
    "microdnf",
    "zypper",
    "pacman",
    "insmod",
];

/// Programs that fetch, send, pack or unpack: services may well run them, and are known by it then.
const CARRIERS: [&str; 14] = [
    "curl", "wget", "scp", "sftp", "ssh", "ftp", "tftp", "rsync", "base64", "base32", "xxd",
    "uudecode", "openssl", "tar",
];

/// Programs that tell who and where one is, what runs, and what there is to find.
const DISCOVERY: [&str; 40] = [
    "arch", "arp", "capsh", "crontab", "df", "dig", "dmesg", "du", "env", "find", "findmnt",
    "getcap", "getent", "groups", "host", "hostname", "id", "ifconfig", "ip", "last", "locate",
    "logname", "lsblk", "lscpu", "lsmod", "lsns", "lsof", "mount", "netstat", "nproc", "nslookup",
    "printenv", "ps", "pstree", "route", "ss", "top", "uname", "w", "whoami",
];

/// Shells, by the names of their files or applets.
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "csh", "tcsh", "fish"];

/// Whether a file may be known by its own path alone, never by a template: others run or obey it.
pub fn is_shielded(path: &str, created_mode: u32) -> bool {
    if created_mode & EXECUTABLE != 0 {
        return true;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, it)| it);
    ending.is_some_and(|it| ENDINGS.contains(&it))
        // A library's version follows its ending.
        || name.contains(".so.")
        || path.split('/').any(|component| NAMES.contains(&component))
        || PLACES.iter().any(|place| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Whether files of a layer are the image's, which no template may cover either.
pub const fn is_of_image(layer: u8) -> bool {
    matches!(layer, code::IMAGE | code::COPIED_UP)
}

/// Whether running a program is never learned in a context: what the image's own health check or an
/// administrator calls is theirs to say.
pub fn is_never_learned(name: &str, context: Context) -> bool {
    context == Context::Steady && TOOLS.contains(&called(name))
}

/// Whether the name of a program is that of one that intruders bring their work along with.
pub fn is_tool(name: &str) -> bool {
    let called = called(name);
    TOOLS.contains(&called) || CARRIERS.contains(&called)
}

/// Whether the name of a program is that of one that looks around.
pub fn is_discovery(name: &str) -> bool {
    DISCOVERY.contains(&called(name))
}

/// What a program is called: its applet, else its file.
fn called(name: &str) -> &str {
    let mut words = name.split(' ');
    let file = words.next().unwrap_or_default();
    let applet = words.next().filter(|it| !it.starts_with('-') && !it.starts_with('/'));
    applet.unwrap_or_else(|| std::str::from_utf8(base(file.as_bytes())).unwrap_or_default())
}

/// Whether a key names a shell, or an interpreter that was given its program as an argument, alone or
/// as one of two programs of which one starts the other.
pub fn is_of_shell(key: &str) -> bool {
    key.split(" > ").any(|name| {
        let mut words = name.split(' ');
        let file = words.next().unwrap_or_default();
        let applet = words.clone().next().filter(|it| !it.starts_with('-'));
        let called = applet.unwrap_or_else(|| file.rsplit('/').next().unwrap_or_default());
        SHELLS.contains(&called) || words.any(|word| word == "-c")
    })
}

/// Whether it is about what intruders need and a service that has started before hardly ever adds: a
/// shell or tool that runs, or somebody to speak to.
pub fn is_of_intruders(dimension: Dimension, key: &str) -> bool {
    let runs = key.rsplit(" > ").next().unwrap_or(key);
    match dimension {
        Dimension::Process | Dimension::Lineage => is_of_shell(runs) || is_tool(runs),
        Dimension::Peer => true,
        Dimension::Arguments
        | Dimension::Write
        | Dimension::Listener
        | Dimension::Privilege
        | Dimension::Volume => false,
    }
}

/// Whether a key names a privilege by which code gets into a process that runs.
pub fn is_of_code(key: &str) -> bool {
    let privilege = key.rsplit(' ').next().unwrap_or_default();
    [op::EXECUTABLE_MEMORY, op::USERFAULTFD].into_iter().any(|it| op::name(it) == privilege)
}

/// Whether using a privilege is never learned: it reaches for another process, for the kernel or
/// for other namespaces.
pub const fn is_unlearnable_privilege(code: u8) -> bool {
    matches!(
        code,
        op::PTRACE
            | op::MOUNT
            | op::SETNS
            | op::MODULE
            | op::BPF
            | op::PROCESS_MEMORY
            | op::REBOOT
            | op::PIDFD_GETFD
            | op::IO_PORTS
            | op::SIGNAL_AGENT
            | op::PTRACE_AGENT
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_run_or_obey_is_shielded() {
        for path in [
            "/data/x.sh",
            "/up/shell.php",
            "/webapps/x.war",
            "/var/www/.htaccess",
            "/opt/libevil.so.1",
            "/etc/cron.d/job",
            "/root/.ssh/authorized_keys",
            "/etc/passwd",
            "/home/a/.bashrc",
        ] {
            assert!(is_shielded(path, 0o100_644), "{path}");
        }
        for path in ["/data/x.rdb", "/etc/passwords", "/up/a.jpg", "/var/log/cron.log", "/x/.sh"] {
            assert!(!is_shielded(path, 0o100_644), "{path}");
        }
        assert!(is_shielded("/data/x", 0o100_755));
    }

    #[test]
    fn a_shell_is_told_by_its_name_and_an_interpreter_by_what_it_is_given() {
        for key in [
            "/bin/dash",
            "/usr/bin/python3.11 -c",
            "/app > /bin/dash -c",
            "/bin/busybox sh",
            "/bin/bash > /usr/bin/id",
        ] {
            assert!(is_of_shell(key), "{key}");
        }
        for key in ["/app", "/usr/bin/python3.11 /app.py", "/app > /bin/busybox wget", "/opt/shell"]
        {
            assert!(!is_of_shell(key), "{key}");
        }
    }

    #[test]
    fn tools_are_learned_at_the_start_alone() {
        assert!(is_never_learned("/usr/bin/nmap", Context::Steady));
        assert!(is_never_learned("/bin/busybox nc", Context::Steady));
        for theirs in [Context::Start, Context::Health, Context::Session] {
            assert!(!is_never_learned("/bin/busybox nc", theirs), "{theirs:?}");
        }
        assert!(!is_never_learned("/usr/bin/curl", Context::Steady));
        assert!(is_tool("/usr/bin/curl") && is_tool("/bin/busybox nc") && !is_tool("/bin/busybox"));
        assert!(is_discovery("/bin/busybox whoami") && !is_discovery("/usr/sbin/nginx"));
    }
}
