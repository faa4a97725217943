//! Configuration: one struct per stage, from file, environment and flags.
