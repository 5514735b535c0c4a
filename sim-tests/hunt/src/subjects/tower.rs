//! tower: buffers, limits, shedding, timeouts and retries around one slow service.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::retry::{Policy, Retry};
use tower::timeout::Timeout;
use tower::{BoxError, Service, ServiceExt};
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};

use crate::subject::Subject;
use crate::workloads::{Patience, work};

const PACKAGE: &str = "tower";

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: PACKAGE,
        name: "buffer",
        workload: "`Buffer` of 1 to 3 over `ConcurrencyLimit` over `Timeout`, callers that give up: each \
                   gets its answer, limits hold",
        known: &[],
        body: |sim| callers(sim, Stack::Buffer),
    },
    Subject {
        package: PACKAGE,
        name: "load_shed",
        workload: "the same, `LoadShed` over `ConcurrencyLimit`",
        known: &[],
        body: |sim| callers(sim, Stack::LoadShed),
    },
    Subject {
        package: PACKAGE,
        name: "retry",
        workload: "the same, `Retry` over `Buffer` over `ConcurrencyLimit`",
        known: &[],
        body: |sim| callers(sim, Stack::Retry),
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stack {
    Buffer,
    LoadShed,
    Retry,
}

/// Doubles numbers, slowly. Some calls fail.
#[derive(Clone, Debug)]
struct Double {
    host: Host,
    running: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    most: u32,
    slowness: u32,
    fails_every: u32,
}

/// One of the calls that run.
struct Running(Arc<AtomicU32>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Double {
    type Response = u32;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        let call = 1 + self.calls.fetch_add(1, Ordering::SeqCst);
        let fails = self.fails_every > 0 && call.is_multiple_of(self.fails_every);
        let (host, running, most, slowness) =
            (self.host, Arc::clone(&self.running), self.most, self.slowness);
        Box::pin(async move {
            let now = 1 + running.fetch_add(1, Ordering::SeqCst);
            let _running = Running(running);
            assert!(now <= most, "{now} calls run where {most} may");
            work(host, slowness + number % 2).await;
            if fails { Err("no answer".into()) } else { Ok(number * 2) }
        })
    }
}

/// Tries three times.
#[derive(Clone, Debug)]
struct Thrice(u32);

impl Policy<u32, u32, BoxError> for Thrice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u32, result: &mut Result<u32, BoxError>) -> Option<Self::Future> {
        self.0 += 1;
        (result.is_err() && self.0 < 3).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        Some(*request)
    }
}

#[derive(Clone, Copy, Debug)]
struct Caller {
    calls: u32,
    patience: Patience,
    pause: u32,
}

async fn call<S>(host: Host, mut service: S, plan: Caller) -> Result<(), Infallible>
where
    S: Service<u32, Response = u32, Error = BoxError> + Send,
    S::Future: Send,
{
    for number in 0..plan.calls {
        // The same service is used again after a call was given up, also between `ready` and `call`.
        let answer = plan.patience.wait(host, async { service.ready().await?.call(number).await });
        if let Some(Ok(answer)) = answer.await {
            assert_eq!(answer, number * 2, "the answer to another call");
        }
        work(host, plan.pause).await;
    }
    Ok(())
}

async fn load<S>(host: Host, service: S, plans: Vec<Caller>, most: u32)
where
    S: Service<u32, Response = u32, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let callers: Vec<_> =
        plans.into_iter().map(|plan| host.spawn("caller", call(host, service.clone(), plan))).collect();
    for caller in callers {
        let Ok(()) = caller.await.expect("a task neither panics nor is aborted");
    }
    // As many at once as the limit allows.
    let last: Vec<_> = (0..most)
        .map(|number| {
            let mut service = service.clone();
            host.spawn("last", async move {
                for _ in 0..20 {
                    if let Ok(answer) = async { service.ready().await?.call(number).await }.await {
                        return answer == number * 2;
                    }
                    host.sleep(Duration::from_millis(50)).await;
                }
                false
            })
        })
        .collect();
    for last in last {
        assert!(
            last.await.expect("a task neither panics nor is aborted"),
            "the service does not answer any more"
        );
    }
}

fn callers(sim: &mut Sim, stack: Stack) {
    let most = 1 + sim.choose("limit", 3);
    let bound = 1 + sim.choose("bound", 3) as usize;
    let slowness = sim.choose("slowness", 3);
    let fails_every = [0, 3, 2][sim.choose("fails", 3) as usize];
    let timeout = Duration::from_micros([1_000_000, 1_000][sim.choose("timeout", 2) as usize]);
    let plans: Vec<Caller> = (0..2 + sim.choose("callers", 4))
        .map(|_| Caller {
            calls: 1 + sim.choose("calls", 4),
            patience: Patience::drawn(sim.choose("patience", Patience::KINDS)),
            pause: sim.choose("pause", 3),
        })
        .collect();
    sim.client("client", async move |host| {
        let (running, calls) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let double = Double { host, running: Arc::clone(&running), calls, most, slowness, fails_every };
        let limited = ConcurrencyLimit::new(Timeout::new(double, timeout), most as usize);
        if stack == Stack::LoadShed {
            load(host, LoadShed::new(limited), plans, most).await;
        } else {
            let (buffer, worker) = Buffer::pair(limited, bound);
            let worker = host.spawn("worker", worker);
            if stack == Stack::Buffer {
                load(host, buffer, plans, most).await;
            } else {
                load(host, Retry::new(Thrice(0), buffer), plans, most).await;
            }
            worker.await.expect("the worker ends when all buffers are gone");
        }
        assert_eq!(running.load(Ordering::SeqCst), 0, "calls are left");
        sometimes!(timeout > Duration::from_millis(1), "calls have time");
    });
}
