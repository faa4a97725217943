//! Whose observation is it: container, image, Swarm service, process and its ancestors.

pub mod container;
pub mod node;
pub mod observation;
pub mod process;
