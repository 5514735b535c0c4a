//! What a test's body gets. (A stand-in: asks questions, and knows no hosts.)

use crate::choices::Choices;

/// A simulation that is being built.
#[derive(Debug)]
pub struct Sim {
    pub(crate) choices: Choices,
    pub(crate) events: Vec<String>,
}

impl Sim {
    /// Picks one of `bound` alternatives.
    pub fn ask(&mut self, lane: &str, site: &str, bound: u32) -> u32 {
        let lane_id = self.choices.lane(lane);
        let site_id = self.choices.site(lane_id, site);
        let pick = self.choices.pick_uniform(site_id, bound);
        self.events.push(format!("{lane}: {site} {pick}"));
        pick
    }
}
