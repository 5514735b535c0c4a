//! What is searched: a program or kernel with a bug, on each simulator that can express it.

use wavetank::{Sim, SymptomKind};

/// How the bug shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finds {
    /// An assertion fails.
    Panic,
    /// Threads or tasks wait for each other for ever.
    Deadlock,
    /// A task is left behind.
    Leak,
    /// An assertion fails, or threads wait for each other for ever.
    PanicOrDeadlock,
}

impl Finds {
    /// Returns `true` if the symptom is of this kind.
    pub fn is(self, kind: SymptomKind) -> bool {
        match self {
            Self::Panic => kind == SymptomKind::Panic,
            Self::Deadlock => kind == SymptomKind::Deadlock,
            Self::Leak => kind == SymptomKind::Leak,
            Self::PanicOrDeadlock => Self::Panic.is(kind) || Self::Deadlock.is(kind),
        }
    }
}

/// Published medians of schedules: SURW, URW, POS, PCT-3, PCT-10, random.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// In this order; 10,001 for a bug that was not found.
    pub medians: [f64; 6],
}

/// A program or kernel with a bug.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name in the table.
    pub name: &'static str,
    /// How its bug shows.
    pub finds: Finds,
    /// What others needed, if it was published.
    pub published: Option<Published>,
    /// The program with its bug, in Wavetank.
    pub ours: fn(&mut Sim),
    /// The same in shuttle, if shuttle can express it.
    pub shuttle: Option<fn()>,
    /// The same without the bug, in Wavetank.
    pub fixed: Option<fn(&mut Sim)>,
}

/// Makes a [`Subject`] of a function over any machine.
macro_rules! program {
    ($name:literal, $finds:expr, $medians:expr, $body:expr) => {
        Subject {
            name: $name,
            finds: $finds,
            published: Some(Published { medians: $medians }),
            ours: |sim| {
                sim.client_thread("program", |host| {
                    let body: fn(&$crate::machine::Ours) = $body;
                    body(&$crate::machine::Ours(host));
                });
            },
            shuttle: Some(|| {
                let body: fn(&$crate::machine::Shuttle) = $body;
                body(&$crate::machine::Shuttle);
            }),
            fixed: None,
        }
    };
}

pub(crate) use program;
