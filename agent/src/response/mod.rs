//! What is done about broken rules: orders to the kernel side that follow from what the operator
//! decided and from what this kernel can do, and a gate for kernels that can do less.

pub mod gate;
pub mod gates;
pub mod sets;
pub mod stopper;
