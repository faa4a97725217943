//! Whom a container means by an address that has passed from one to another.

use plimsoll_ebpf::{events::connect::Connect, value::address};

use super::{
    behaviour::Behaviour,
    dimension::{Context, Dimension},
    instance::Member,
    known::Known,
    peer,
    start::vouches,
};
use crate::{attribution::observation::Observation, stable_hash::stable_hash};

impl Known {
    /// By which name a peer is to be judged whose address has passed from one to another since it was
    /// looked up: by the former where only that is known. Who holds on to an address for a while
    /// does what he always did.
    pub fn meant_peer<'o>(
        &self,
        observation: &Observation<'o>,
        member: &Member,
        context: Context,
    ) -> Option<&'o str> {
        let (current, former) = (observation.peer_name, observation.former_name);
        if former.is_none() {
            return current;
        }
        let Some((connect, _)) = observation.record.read::<Connect>() else { return current };
        let profile = &self.profiles[member.profile];
        let actor = observation.container.map_or(0, |it| stable_hash(it.id.as_bytes()));
        let is_known = |name| {
            let mut key = String::new();
            peer::push_key(&mut key, &connect, address(connect.address), name);
            let learned = &profile.learned[Dimension::Peer as usize];
            let number = learned.find(&Behaviour::of_peer(&key));
            let entry = number.and_then(|number| learned.entry(number));
            entry.is_some_and(|entry| vouches(profile, Dimension::Peer, entry, (context, actor)))
        };
        if is_known(former) && !is_known(current) { former } else { current }
    }
}
