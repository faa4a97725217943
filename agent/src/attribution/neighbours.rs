//! Containers of this host by the addresses that Docker gave them: who a peer is that was not looked
//! up, or whose address has passed to another since.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::container::Container;

/// Who has an address.
#[derive(Debug)]
pub struct Neighbour {
    container: Arc<Container>,
    /// How many names had been resolved when it got the address.
    since: u64,
}

impl Neighbour {
    /// Whether it had the address when so many names had been resolved.
    pub fn was_there(&self, resolved: u64) -> bool {
        self.since < resolved
    }

    /// Whether Docker's name server knows it by this name.
    pub fn goes_by(&self, name: &str) -> bool {
        let Container { name: own, service, compose_service, task, aliases, .. } = &*self.container;
        let is_service = |name: &str| {
            [service, compose_service].into_iter().any(|it| !it.is_empty() && it == name)
        };
        // The name server takes a name with its network behind it, too.
        let is = |name: &str| {
            name == own
                || name == task
                || is_service(name)
                || name.strip_prefix("tasks.").is_some_and(is_service)
                || aliases.iter().any(|it| it == name)
        };
        is(name) || name.rsplit_once('.').is_some_and(|(name, _)| is(name))
    }

    /// Its name: that of the service, which its successors have too, else its own.
    pub fn name(&self) -> &str {
        let Container { name, service, compose_service, .. } = &*self.container;
        [service, compose_service].into_iter().find(|it| !it.is_empty()).unwrap_or(name)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Neighbours {
    by_address: HashMap<IpAddr, Neighbour>,
}

impl Neighbours {
    /// Docker told of a container; so many names have been resolved by now.
    pub fn known(&mut self, container: &Arc<Container>, resolved: u64) {
        self.by_address.retain(|address, it| {
            it.container.id != container.id || container.addresses.contains(address)
        });
        for address in &container.addresses {
            let before = self.by_address.get(address);
            let before = before.filter(|it| it.container.id == container.id);
            let since = before.map_or(resolved, |it| it.since);
            let it = Neighbour { container: container.clone(), since };
            self.by_address.insert(*address, it);
        }
    }

    /// A container was removed.
    pub fn removed(&mut self, id: &str) {
        self.by_address.retain(|_, it| it.container.id != id);
    }

    /// Who has this address.
    pub fn at(&self, address: IpAddr) -> Option<&Neighbour> {
        self.by_address.get(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [172, 18, 0, last].into()
    }

    fn container(id: &str, last: u8) -> Arc<Container> {
        Arc::new(Container {
            id: id.to_owned(),
            name: format!("{id}-1"),
            addresses: vec![address(last)],
            aliases: vec!["cache".to_owned()],
            ..Container::default()
        })
    }

    #[test]
    fn an_address_is_that_of_whoever_got_it_last() {
        let mut neighbours = Neighbours::default();
        neighbours.known(&container("a", 2), 0);
        neighbours.known(&container("b", 2), 5);
        let holder = neighbours.at(address(2)).expect("somebody has it");
        assert_eq!(holder.name(), "b-1");
        assert!(!holder.was_there(5) && holder.was_there(6));
        neighbours.removed("a");
        assert!(neighbours.at(address(2)).is_some(), "it had passed on");
        neighbours.removed("b");
        assert!(neighbours.at(address(2)).is_none());
    }

    #[test]
    fn news_of_a_container_moves_it_to_its_new_address_alone() {
        let mut neighbours = Neighbours::default();
        neighbours.known(&container("a", 2), 0);
        neighbours.known(&container("a", 2), 9);
        assert!(neighbours.at(address(2)).is_some_and(|it| it.was_there(1)), "since ever");
        neighbours.known(&container("a", 3), 9);
        assert!(neighbours.at(address(2)).is_none() && neighbours.at(address(3)).is_some());
    }

    #[test]
    fn a_container_goes_by_every_name_the_name_server_has_for_it() {
        let mut neighbours = Neighbours::default();
        let of_service = Container {
            service: "shop_db".to_owned(),
            task: "shop_db.1.x7".to_owned(),
            ..Container::clone(&container("db", 2))
        };
        neighbours.known(&Arc::new(of_service), 0);
        let db = neighbours.at(address(2)).expect("is there");
        for name in ["db-1", "shop_db", "tasks.shop_db", "shop_db.1.x7", "cache", "cache.backend"] {
            assert!(db.goes_by(name), "{name}");
        }
        assert!(!db.goes_by("") && !db.goes_by("tasks.") && !db.goes_by("web"));
        assert_eq!(db.name(), "shop_db");
    }
}
