//! The unix socket that the command line talks to.
