//! What a connection waits for beside its transport: hooks, and operations.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use serde_json::value::RawValue;
use tracing::Span;

use super::ready::{JobWaker, Ready};
use crate::connection::OperationKey;
use crate::engine::{BoxFuture, BoxStream, Operation};
use crate::error::RequestErrors;
use crate::hooks::{Accepted, OperationInfo, Rejection};
use crate::registry::OperationPermit;

/// What `on_connect` says.
pub(super) type Decision<C> = Result<Accepted<C>, Rejection>;

/// One thing that is polled. In futures of hooks `None` is a hook that took too long.
pub(super) enum Job<C, P> {
    Connect(BoxFuture<Option<Decision<C>>>),
    Ping(BoxFuture<Option<Option<Box<RawValue>>>>),
    /// Not boxed: most jobs are operations, and a place is on the heap already.
    Operation(Running<P>),
    /// `on_complete`.
    Complete(BoxFuture<()>),
    /// `on_disconnect`.
    Disconnect(BoxFuture<()>),
}

impl<C, P> Job<C, P> {
    /// Returns whether what the job gives is sent.
    pub(super) fn gives(&self) -> Gives {
        match self {
            Self::Operation(Running { stage: Stage::Stream(_), .. }) => Gives::Results,
            Self::Operation(_) => Gives::Result,
            Self::Connect(_) | Self::Ping(_) | Self::Complete(_) | Self::Disconnect(_) => Gives::Nothing,
        }
    }

    /// Returns `true` for a job that goes on when the connection is over.
    pub(super) fn outlives_the_connection(&self) -> bool {
        matches!(self, Self::Complete(_) | Self::Disconnect(_))
    }
}

/// What polling a job may give that is sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// Nothing that waits for room.
    Nothing,
    /// One result, or errors. It waits while much is to be sent.
    Result,
    /// One result after the other. It waits while the result of any operation is to be sent.
    Results,
}

/// An operation.
pub(super) struct Running<P> {
    pub(super) key: OperationKey,
    pub(super) info: OperationInfo,
    /// Whether `on_operation` was called.
    pub(super) started: bool,
    pub(super) stage: Stage<P>,
    /// `None` if no subscriber wants it.
    pub(super) span: Option<Box<Span>>,
    /// One of the operations of all connections, given back with this.
    pub(super) permit: OperationPermit,
}

/// How far an operation is.
pub(super) enum Stage<P> {
    Preparing(BoxFuture<Result<Operation<P>, RequestErrors>>),
    Single(BoxFuture<P>),
    Stream(BoxStream<P>),
    Subscribing(BoxFuture<Result<BoxStream<P>, RequestErrors>>),
}

/// Whether the number of a place is in the queue of the jobs that wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stalled {
    No,
    /// Its job waits for room for its result. Then it counts as queued, so that wakes do not queue it.
    Waits,
    /// The job that waited is gone, and has left its number behind.
    Left,
}

struct Place<J> {
    job: Option<J>,
    stalled: Stalled,
    waker: Waker,
    queued: Arc<JobWaker>,
}

/// The jobs of a connection, and which of them are to be polled.
pub(super) struct Jobs<J> {
    /// Boxed, so that a vector with room for twice as many costs little.
    places: Vec<Box<Place<J>>>,
    free: Vec<u32>,
    ready: Arc<Ready>,
    /// To be polled, in order.
    queue: VecDeque<u32>,
    /// To be polled once there is room for results.
    stalled: VecDeque<u32>,
}

impl<J> Jobs<J> {
    pub(super) fn new(ready: &Arc<Ready>) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            ready: Arc::clone(ready),
            queue: VecDeque::new(),
            stalled: VecDeque::new(),
        }
    }

    /// Returns `true` if there is no job.
    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// Adds a job, which is polled soon.
    pub(super) fn add(&mut self, job: J) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            let queued = JobWaker::new(number, &self.ready);
            let waker = Arc::clone(&queued).into();
            self.places.push(Box::new(Place { job: None, stalled: Stalled::No, waker, queued }));
            number
        });
        let place = &mut self.places[number as usize];
        place.job = Some(job);
        if place.queued.enqueue() {
            self.queue.push_back(number);
        }
        number
    }

    /// Takes a job out, which is gone with that.
    pub(super) fn remove(&mut self, number: u32) -> Option<J> {
        let place = self.places.get_mut(number as usize)?;
        let job = place.job.take()?;
        if place.stalled == Stalled::Waits {
            // What takes its place does not wait for room.
            place.stalled = Stalled::Left;
            place.queued.dequeue();
        }
        self.free.push(number);
        Some(job)
    }

    /// Takes all jobs out that `gone` selects.
    pub(super) fn remove_all(&mut self, gone: impl Fn(&J) -> bool) -> Vec<J> {
        let mut removed = Vec::new();
        for number in 0..u32::try_from(self.places.len()).unwrap_or(u32::MAX) {
            if self.places[number as usize].job.as_ref().is_some_and(&gone) {
                removed.extend(self.remove(number));
            }
        }
        removed
    }

    /// Puts the jobs that were woken behind those that are to be polled already. Called in each round: a stream that is
    /// always ready keeps the queue from being empty, and the others must get their turn beside it.
    pub(super) fn take_woken(&mut self) {
        self.ready.take(&mut self.queue);
    }

    /// Returns the next job to poll. Its place may be empty: then it is gone. If `has_room`, what has waited for room
    /// comes first.
    pub(super) fn next(&mut self, has_room: bool) -> Option<u32> {
        while has_room && let Some(number) = self.stalled.pop_front() {
            let stalled = &mut self.places[number as usize].stalled;
            if std::mem::replace(stalled, Stalled::No) == Stalled::Waits {
                return Some(number);
            }
        }
        if self.queue.is_empty() {
            self.take_woken();
        }
        self.queue.pop_front()
    }

    /// Returns the job of a number that [`next`](Self::next) gave, with its waker.
    pub(super) fn poll(&mut self, number: u32) -> Option<(&mut J, &Waker)> {
        let place = &mut self.places[number as usize];
        place.queued.dequeue();
        let waker = &place.waker;
        place.job.as_mut().map(|job| (job, waker))
    }

    /// Puts a job behind the others that are to be polled.
    pub(super) fn again(&mut self, number: u32) {
        if self.places[number as usize].queued.enqueue() {
            self.queue.push_back(number);
        }
    }

    /// Leaves out a job that [`next`](Self::next) gave, and that is gone.
    pub(super) fn skip(&mut self, number: u32) {
        self.places[number as usize].queued.dequeue();
    }

    /// Puts a job that [`next`](Self::next) gave back to where it was.
    pub(super) fn put_back(&mut self, number: u32) {
        self.queue.push_front(number);
    }

    pub(super) fn get(&self, number: u32) -> Option<&J> {
        self.places.get(number as usize)?.job.as_ref()
    }

    /// Lets a job that [`next`](Self::next) gave wait until there is room.
    pub(super) fn stall(&mut self, number: u32) {
        // A number is in the queue once, however many jobs come and go in its place.
        if std::mem::replace(&mut self.places[number as usize].stalled, Stalled::Waits) == Stalled::No {
            self.stalled.push_back(number);
        }
    }

    /// Returns `true` while jobs wait for room.
    pub(super) fn has_stalled(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// Returns `true` if a job is to be polled.
    pub(super) fn has_ready(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl<J> fmt::Debug for Jobs<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(jobs: &mut Jobs<&'static str>, has_room: bool) -> Vec<&'static str> {
        let mut polled = Vec::new();
        while let Some(number) = jobs.next(has_room) {
            match jobs.poll(number) {
                Some((job, _)) => polled.push(*job),
                None => jobs.skip(number),
            }
        }
        polled
    }

    #[test]
    fn jobs_are_polled_once_after_they_were_added() {
        let mut jobs = Jobs::new(&Arc::default());
        let first = jobs.add("first");
        jobs.add("second");
        assert_eq!(polled(&mut jobs, true), ["first", "second"]);
        assert_eq!(polled(&mut jobs, true), [""; 0]);
        jobs.again(first);
        jobs.again(first);
        assert_eq!(polled(&mut jobs, true), ["first"]);
    }

    #[test]
    fn a_woken_job_runs_beside_busy_ones() {
        let mut jobs = Jobs::new(&Arc::default());
        let (busy, quiet) = (jobs.add("busy"), jobs.add("quiet"));
        assert_eq!(polled(&mut jobs, true), ["busy", "quiet"]);
        jobs.again(busy);
        jobs.places[quiet as usize].waker.wake_by_ref();
        jobs.take_woken();
        let number = jobs.next(true).expect("the busy one");
        assert_eq!(jobs.poll(number).map(|(job, _)| *job), Some("busy"));
        jobs.again(busy);
        assert_eq!(jobs.next(true), Some(quiet));
    }

    #[test]
    fn stalled_jobs_come_first_and_in_order() {
        let mut jobs = Jobs::new(&Arc::default());
        for job in ["first", "second", "third"] {
            jobs.add(job);
        }
        for _ in 0..2 {
            let number = jobs.next(false).expect("a job");
            jobs.stall(number);
            jobs.again(number);
        }
        jobs.add("fourth");
        assert_eq!(jobs.next(true), Some(0), "what waited comes first");
        assert_eq!(jobs.poll(0).map(|(job, _)| *job), Some("first"));
        assert_eq!(polled(&mut jobs, false), ["third", "fourth"]);
        assert_eq!(polled(&mut jobs, true), ["second"]);
    }

    #[test]
    fn a_job_in_a_stalled_place_is_polled() {
        let mut jobs = Jobs::new(&Arc::default());
        let stalled = jobs.add("stalled");
        let number = jobs.next(false).expect("a job");
        jobs.stall(number);
        assert_eq!(jobs.remove(stalled), Some("stalled"));
        assert_eq!(jobs.add("hook"), stalled);
        assert_eq!(polled(&mut jobs, false), ["hook"]);
        assert_eq!(polled(&mut jobs, true), [""; 0]);
    }

    #[test]
    fn jobs_that_are_cancelled_leave_no_queue_behind() {
        let mut jobs = Jobs::new(&Arc::default());
        for _ in 0..100 {
            let number = jobs.add("stalled");
            assert_eq!(jobs.next(false), Some(number));
            jobs.stall(number);
            jobs.remove(number);
        }
        assert_eq!((jobs.places.len(), jobs.stalled.len(), jobs.queue.len()), (1, 1, 0));
        assert_eq!(polled(&mut jobs, true), [""; 0]);
        assert!(!jobs.has_stalled());
    }

    #[test]
    fn a_job_in_a_queued_place_runs_once() {
        let mut jobs = Jobs::new(&Arc::default());
        let first = jobs.add("first");
        jobs.remove(first);
        assert!(jobs.is_empty());
        jobs.add("second");
        assert_eq!(polled(&mut jobs, true), ["second"]);
    }
}
