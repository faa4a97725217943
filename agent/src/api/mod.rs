//! The daemon's answers on its Unix socket: HTTP with JSON, for the command line and for people.
//!
//! `GET /v1/events` streams observations as JSON lines; its parameters are those of
//! `plimsoll events` ([`params`]). A line whose one key is `notice` is meant for people: damage
//! met, or a limit reached. With `count_by` or `histogram` the lines are counts instead; with
//! `progress`, a line whose one key is `at` says how far the count is. `GET /v1/status` is one JSON object.
//!
//! `GET /v1/activity` is what containers have done since they were met ([`activity`]).
//! `GET /v1/policy` is what was decided and the modes in effect, one JSON object.
//! `GET /v1/profiles` is every profile in short, `GET /v1/profiles/WHOM` whole those of an image or
//! service; `POST /v1/profiles/approve`, `reset` and `deny` change them ([`profiles`]).
//!
//! `POST /v1/modes`, `POST /v1/exceptions` and `DELETE /v1/exceptions/ID` change it ([`messages`]).

pub mod activity;
pub mod client;
pub mod door;
pub mod messages;
pub mod params;
pub mod policy;
pub mod profiles;
pub mod server;
pub mod socket;

mod stream;

#[cfg(test)]
mod tests;
