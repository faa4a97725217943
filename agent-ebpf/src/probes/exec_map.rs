//! Raises [`ExecMap`].

use plimsoll_ebpf::{
    events::exec_map::ExecMap,
    layer::code,
    record::{Header, Wire, flags},
    rules::outcome,
};

use super::{file_write::act, syscall::Call};
use crate::{
    emit::{Draft, Ring},
    enforce::{self, Means},
    file::File,
    filter,
    scratch::Slot,
    task,
};

/// `include/uapi/asm-generic/mman-common.h`
pub const PROT_EXEC: u64 = 4;
const MAP_ANONYMOUS: u64 = 0x20;

/// What a call asks for: protection, flags, descriptor.
#[inline(always)]
fn asked(call: &Call) -> [u64; 3] {
    if call.entry.fd == 0 {
        // The old call of the 32-bit table: address, length, protection, flags, descriptor, offset.
        let words: [u32; 6] = crate::read::user(call.argument(1));
        return [words[2], words[3], words[4]].map(u64::from);
    }
    [call.argument(call.entry.number), call.argument(4), call.argument(call.entry.fd)]
}

/// Whether the call maps a file and lets it run: the way out for most mappings.
#[inline(always)]
pub fn is_executable_file(call: &Call) -> bool {
    let [protection, flags, _] = asked(call);
    protection & PROT_EXEC != 0 && flags & MAP_ANONYMOUS == 0
}

#[inline(always)]
pub fn on_map(call: &Call, container: u64) {
    let [_, _, descriptor] = asked(call);
    let address = task::file_of(call.task, descriptor);
    if address == 0 {
        return;
    }
    let file = File::at(address);
    let mut bits = if call.is_compat { flags::COMPAT } else { 0 };
    let layer = file.layer(call.task, &mut bits);
    if layer == code::IMAGE {
        return;
    }
    let slot = Slot::claim();
    let outcome =
        if enforce::stops_library(container, Means::Kill, &file, layer, bits, slot.as_ref()) {
            enforce::kill();
            outcome::KILLED
        } else {
            outcome::DONE
        };
    tell(container, call.task, &file, slot, outcome, (layer, bits));
}

/// Tells of a mapping that was made, or refused.
#[inline(always)]
pub fn tell(
    container: u64,
    task: usize,
    file: &File,
    slot: Option<Slot>,
    outcome: u8,
    (layer, mut bits): (u8, u32),
) {
    let act = act(container, task, file, ExecMap::KIND, u32::from(outcome), 0);
    let Some(report) = filter::report(&act) else { return };
    let header = Header { outcome, ..report.header(task::header(container)) };
    let Some(draft) = Draft::<ExecMap>::within(slot, header) else { return };
    let path = draft.path(file.dentry, file.mount, &mut bits);
    let body =
        ExecMap { ino: file.ino(), dev: file.dev(), flags: bits, path, layer, reserved: [0; 3] };
    draft.send(Ring::Priority { urgent: true }, body);
}
