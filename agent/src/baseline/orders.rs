//! What an operator has done to profiles: approve them, or forget what they hold.

use crossbeam_channel::Sender;

use super::{
    import::Document,
    learner::Baseline,
    saved::Saved,
    subject::{Subject, repository},
};

/// Shortest start of a digest that names an image.
const LEAST_DIGITS: usize = 6;

/// What is to be done to profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Enough is known: departures are told from now on.
    Approve,
    /// All is forgotten and learned anew.
    Reset,
    /// What is known is what these say, whoever is meant.
    Import {
        /// The profiles as they were written down.
        documents: Vec<Document>,
        /// Whether departures are told of them from now on.
        approves: bool,
    },
    /// What only some containers showed, or was seen first since some moment, does not belong here.
    Deny {
        /// What the containers' ids begin with.
        container: Option<String>,
        /// The moment, in seconds since the Unix epoch.
        since_s: Option<u64>,
    },
}

/// An order to whoever has the profiles.
#[derive(Debug)]
pub struct Order {
    /// An image, a digest or a service, as [`is_meant`] reads it.
    pub whom: String,
    /// What to do.
    pub act: Act,
    /// Receives the profiles as they were left; none are there where nobody was meant.
    pub answer: Sender<Vec<Saved>>,
}

impl Baseline {
    /// Carries out an order.
    pub fn carry_out(&mut self, order: &Order, now_s: u64) {
        let settings = *self.settings();
        let mut changed = Vec::new();
        if let Act::Import { documents, approves } = &order.act {
            for document in documents {
                if let Some(profile) = self.profile_mut(&document.subject) {
                    profile.import(document, *approves, now_s);
                    changed.push(Saved::of(profile, &settings, now_s));
                }
            }
            let _ = order.answer.try_send(changed);
            return;
        }
        for profile in self.profiles_mut() {
            if !is_meant(&order.whom, &profile.subject, &profile.image) {
                continue;
            }
            match &order.act {
                Act::Approve => profile.approve(now_s),
                Act::Reset => profile.reset(),
                // See above.
                Act::Import { .. } => {}
                Act::Deny { container, since_s } => {
                    let denied = profile.deny(container.as_deref(), *since_s);
                    tracing::info!(subject = %profile.subject, denied, "behaviours denied");
                }
            }
            changed.push(Saved::of(profile, &settings, now_s));
        }
        // Who asked may have given up.
        let _ = order.answer.try_send(changed);
    }

    /// Profiles of which more is known than was kept, at most so many; they are taken for kept. Each
    /// gets its turn, however busy the others are.
    pub fn take_unsaved(&mut self, most: usize, now_s: u64) -> Vec<Saved> {
        let settings = *self.settings();
        let first = self.next_unsaved;
        let profiles = self.profiles_mut();
        let count = profiles.len();
        let mut taken = Vec::new();
        let mut place = first;
        for step in 0..count {
            if taken.len() >= most {
                break;
            }
            place = (first + step) % count;
            let profile = &mut profiles[place];
            if profile.is_unsaved {
                profile.is_unsaved = false;
                taken.push(Saved::of(profile, &settings, now_s));
            }
        }
        self.next_unsaved = place + 1;
        taken
    }
}

/// Whether a text means a subject: an image as it is asked for, with or without its tag, the start
/// of a digest, or a service.
pub fn is_meant(text: &str, subject: &Subject, image: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let is_subject = match subject {
        Subject::Image { digest, .. } => {
            let digits = text.strip_prefix("sha256:").unwrap_or(text);
            let its = digest.strip_prefix("sha256:").unwrap_or(digest);
            digits.len() >= LEAST_DIGITS && its.starts_with(digits)
        }
        Subject::Service { name } => {
            name == text || name.split_once(' ').is_some_and(|(_, name)| name == text)
        }
    };
    is_subject || text == image || text == repository(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_meant_by_its_name_with_or_without_tag_or_by_its_digest() {
        let digest = "sha256:00ffaa1122".to_owned();
        let subject = Subject::Image { digest, variant: String::new() };
        for text in ["shop/app", "shop/app:1", "00ffaa", "sha256:00ffaa1122"] {
            assert!(is_meant(text, &subject, "shop/app:1"), "{text}");
        }
        for text in ["", "shop", "shop/app:2", "00ff", "11ffaa"] {
            assert!(!is_meant(text, &subject, "shop/app:1"), "{text}");
        }
        let service = Subject::Service { name: "swarm shop_web".to_owned() };
        assert!(is_meant("shop_web", &service, "x") && !is_meant("web", &service, "x"));
    }
}
