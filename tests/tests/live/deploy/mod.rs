//! The agent's image, what it can do in a container, and what Prometheus makes of it.

mod harden;
mod image;
mod least;
mod prometheus;
mod stack;
mod three;
