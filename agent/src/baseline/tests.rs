//! Learning as a whole.
