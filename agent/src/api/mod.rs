//! The daemon's answers on its Unix socket: HTTP with JSON, for the command line and for people.
//!
//! `GET /v1/events` streams observations as JSON lines; its parameters are those of
//! `plimsoll events` ([`params`]). A line whose one key is `notice` is meant for people: damage
//! met, or a limit reached. `GET /v1/status` is one JSON object.

pub mod client;
pub mod params;
pub mod server;
pub mod socket;

mod stream;

#[cfg(test)]
mod tests;
