//! What CI runs: every bug is found once, and no fixed version fails.

use crate::contenders::{SCHEDULES_MAX, sweep};
use crate::subject::Subject;

/// The seeds that a fixed version must pass.
const FIXED_SEEDS: u64 = 1_000;

/// Finds each bug once with the default strategy, and runs the fixed versions.
///
/// # Errors
///
/// A text that names the first bug that was not found, or the first fixed version that failed.
pub fn check(subjects: &[Subject]) -> Result<(), String> {
    for subject in subjects {
        let found = sweep(subject).base_seed(0).seeds(SCHEDULES_MAX).first_failure(subject.ours);
        let found = found.ok_or(format!("{}: not found in {SCHEDULES_MAX} seeds", subject.name))?;
        if !subject.finds.is(found.symptom().kind()) {
            return Err(format!("{}: instead of its bug: {}", subject.name, found.symptom()));
        }
        println!("{}: found after {} seeds", subject.name, found.runs());
        let Some(fixed) = subject.fixed else { continue };
        if let Some(failed) = sweep(subject).base_seed(0).seeds(FIXED_SEEDS).first_failure(fixed) {
            let (seed, symptom) = (failed.seed(), failed.symptom());
            return Err(format!("{}: the fixed version fails with seed {seed}: {symptom}", subject.name));
        }
    }
    Ok(())
}
