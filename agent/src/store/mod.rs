//! The node's own memory of observations: append-only segments, an index, and what reads them.
