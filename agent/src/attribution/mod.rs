//! Whose observation is it: container, image, Swarm service, process and its ancestors.

pub mod container;
pub mod fields;
pub mod node;
pub mod observation;
pub mod overlay;
pub mod peer_names;
pub mod posture;
pub mod process;

pub mod attributor;
pub mod cgroup;
pub mod circumstances;
pub mod directory;
pub mod dns;
pub mod docker;
pub mod image_names;
pub mod inspect;
pub mod inventory;
pub mod listeners;
pub mod made;
pub mod neighbours;
pub mod normal;
pub mod process_table;
pub mod procfs;
pub mod recorded;
pub mod repeats;
pub mod restored;
pub mod roster;
pub mod sockets;

mod looks;
