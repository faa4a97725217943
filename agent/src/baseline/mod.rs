//! What images and services are known to do, and what departs from it.
//!
//! Pure: observations and moments in, departures and profiles out. [`learner::Baseline`] is the
//! stage; the other files are its parts, in reading order.

pub mod dimension;
pub mod subject;

mod interpreter;

pub mod program;

mod rented;

pub mod peer;

pub mod shield;

pub mod behaviour;

mod write;

pub mod template;

pub mod arguments;

pub mod entry;

pub mod entries;

pub mod learned;

pub mod settings;

pub mod convergence;

pub mod schedule;

pub mod survey;

pub mod volume;

pub mod profile;

mod doubt;

pub mod heritage;

mod marks;

pub mod instance;

mod own_data;

mod start;

pub mod explain;

pub mod departure;

pub mod counts;

pub mod report;

mod siblings;

pub mod known;

mod meant_peer;

pub mod slots;

pub mod learner;

pub mod saved;

pub mod orders;

pub mod view;

pub mod export;

pub mod import;

pub mod diff;

#[cfg(test)]
mod tests;
