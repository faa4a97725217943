//! How much services use, and what is far more than that.
//!
//! In reading order: what is measured and its floors, the lengths of time that are compared, how
//! amounts are remembered, how hours and peers are, what is known of a service, and how a container
//! is judged by it.

pub mod metric;

pub mod pace;

pub mod sketch;

pub mod budget;

pub mod destinations;

pub mod known;

pub mod track;

pub mod finding;

pub mod contacts;

mod judge;

pub mod measure;

#[cfg(test)]
mod tests;
