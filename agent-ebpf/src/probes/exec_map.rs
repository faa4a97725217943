//! Raises [`ExecMap`].

use plimsoll_ebpf::{
    events::exec_map::ExecMap,
    layer::code,
    record::{Wire, flags},
};

use super::{file_write::act, syscall::Call};
use crate::{
    emit::{Draft, Ring},
    file::File,
    filter, task,
};

/// `include/uapi/asm-generic/mman-common.h`
const PROT_EXEC: u64 = 4;
const MAP_ANONYMOUS: u64 = 0x20;

/// Whether the call maps a file and lets it run: the way out for most mappings.
#[inline(always)]
pub fn is_executable_file(call: &Call) -> bool {
    call.argument(call.entry.number) & PROT_EXEC != 0 && call.argument(4) & MAP_ANONYMOUS == 0
}

#[inline(always)]
pub fn on_map(call: &Call, container: u64) {
    let address = task::file_of(call.task, call.argument(call.entry.fd));
    if address == 0 {
        return;
    }
    let file = File::at(address);
    let mut bits = if call.is_compat { flags::COMPAT } else { 0 };
    let layer = file.layer(call.task, &mut bits);
    if layer == code::IMAGE {
        return;
    }
    let act = act(container, call.task, &file, ExecMap::KIND, 0);
    let Some(report) = filter::report(&act) else { return };
    let header = report.header(task::header(container));
    let Some(draft) = Draft::<ExecMap>::new(header) else { return };
    let path = draft.path(file.dentry, file.mount, &mut bits);
    let body =
        ExecMap { ino: file.ino(), dev: file.dev(), flags: bits, path, layer, reserved: [0; 3] };
    draft.send(Ring::Priority { urgent: true }, body);
}
