//! Wires the stages together and owns start and shutdown.
