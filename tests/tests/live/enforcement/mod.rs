//! What is stopped, what is not, and how surely. On kernels without BPF LSM who breaks a rule is
//! killed; on those with it the act is refused: `Stop` is what these tests accept.

mod agent_gone;
mod exceptions;
mod files;
mod held;
mod many;
mod network;
mod programs;

/// How often an act is tried that must never take place.
const TRIES: u32 = 1000;
