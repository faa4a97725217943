//! Whether the kernel asks BPF programs as a security module, and which hooks it has.

use std::{fs, path::Path};

use aya::{
    Btf,
    programs::{LsmAttachType, ProgramType},
    sys::is_program_supported,
};

/// Where the kernel lists the security modules it asks.
const LIST: &str = "/sys/kernel/security/lsm";

/// Whether the kernel says that it asks BPF programs.
///
/// Only the first half of the answer: what it says is put to the test once the programs are
/// attached. Where the list cannot be read, there is none, or nobody has mounted it: tried then.
fn is_listed() -> bool {
    lists_bpf(fs::read_to_string(Path::new(LIST)).ok().as_deref())
}

fn lists_bpf(list: Option<&str>) -> bool {
    list.is_none_or(|list| list.trim().split(',').any(|module| module == "bpf"))
}

/// Whether programs can be a security module here; if not, why.
pub fn usable() -> Result<(), String> {
    if !is_listed() {
        return Err(format!("bpf is not among the kernel's security modules ({LIST})"));
    }
    match is_program_supported(ProgramType::Lsm(LsmAttachType::Mac)) {
        Ok(true) => Ok(()),
        Ok(false) => Err("this kernel does not take programs as a security module".to_owned()),
        Err(error) => {
            let error = anyhow::Error::from(error);
            Err(format!("this kernel refuses programs as a security module: {error:#}"))
        }
    }
}

/// Whether a program can be attached to a hook; if not, why.
pub(super) fn supports(btf: &Btf, hook: &str) -> Result<(), String> {
    btf.id_by_type_name_kind(&format!("bpf_lsm_{hook}"), aya_obj::btf::BtfKind::Func)
        .map(|_| ())
        .map_err(|_| format!("this kernel has no hook {hook} for programs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_without_bpf_rules_it_out() {
        assert!(lists_bpf(Some("lockdown,capability,yama,apparmor,bpf\n")));
        assert!(!lists_bpf(Some("lockdown,capability,yama,apparmor\n")));
        assert!(lists_bpf(None));
    }
}
