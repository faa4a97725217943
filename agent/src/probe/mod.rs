//! The kernel object in, records out, orders down.
