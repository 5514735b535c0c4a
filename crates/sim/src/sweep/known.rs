//! Known symptoms: the failures that a sweep goes past, to find others.

use std::collections::BTreeSet;

use super::Session;
use super::examine::Failure;
use crate::recording::Expect;
use crate::settings::Past;
use crate::symptom::Symptom;

/// The symptoms that do not end a sweep.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Parts of symptoms.
    parts: Vec<String>,
    /// The keys of the symptoms that recordings show.
    keys: BTreeSet<String>,
    /// What the test must find is never gone past.
    wanted: Option<String>,
}

impl Known {
    pub(super) fn has(&self, failure: &Failure) -> bool {
        failure.is_repeatable() && self.has_symptom(&failure.symptom)
    }

    pub(super) fn has_symptom(&self, symptom: &Symptom) -> bool {
        let is_wanted = self.wanted.as_ref().is_some_and(|wanted| symptom.matches(wanted));
        !is_wanted
            && (self.keys.contains(&symptom.key()) || self.parts.iter().any(|part| symptom.matches(part)))
    }
}

impl Session {
    /// Returns the symptoms that the test and the environment call known.
    pub(super) fn known(&self) -> Known {
        let mut known =
            Known { parts: self.sweep.past.clone(), wanted: self.sweep.finds.clone(), ..Known::default() };
        match &self.settings.past {
            None => {}
            Some(Past::Part(part)) => known.parts.push(part.clone()),
            // An unreadable one has failed the test before its seeds.
            Some(Past::Recorded) => {
                let paths = self.store.list().unwrap_or_default();
                let recordings = paths.iter().filter_map(|path| self.store.load(path).ok());
                known.keys = recordings
                    .filter_map(|recording| match recording.expect {
                        Expect::Fails(symptom) => Some(symptom.key()),
                        Expect::Passes => None,
                    })
                    .collect();
            }
        }
        known
    }
}
