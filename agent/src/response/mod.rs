//! What is done about broken rules: orders to the kernel side that follow from what the operator
//! decided and from what this kernel can do.

pub mod sets;
pub mod stopper;
