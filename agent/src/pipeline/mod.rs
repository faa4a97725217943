//! The thread between kernel and store: rings are drained, records attributed, observations kept.
//!
//! It owns what it works with and takes no lock. Others reach it through bounded channels and end
//! its wait with a [`Waker`](crate::probe::waker::Waker).

pub mod learning;
pub mod run;
pub mod stranger;
pub mod surveyor;

mod acts;
mod containers;
mod gauges;
mod losses;
mod outage;
mod peer_names;
mod recorder;
mod refused;
mod roll_call;
mod subjects;
mod takeover;
mod volumes;
