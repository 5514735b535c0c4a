//! Tasks and entropy.

use std::future::pending;

use tokio::sync::oneshot;
use wavetank_runtime::{JoinError, Runtime, TaskHandle};

use super::World;

pub(crate) async fn a_task_yields_its_result<R: Runtime>(world: World<R>) {
    let runtime = world.client.clone();
    let task = world.client.spawn("sum", async move {
        runtime.spawn("inner", async { 40 }).await.expect("the inner task ends") + 2
    });
    assert_eq!(task.await, Ok(42));
}

pub(crate) async fn joining_a_task_reports_its_panic<R: Runtime>(world: World<R>) {
    let task = world.client.spawn("faulty", async {
        if true {
            panic!("out of {}", "cheese");
        }
    });
    assert_eq!(task.await, Err(JoinError::Panicked("out of cheese".to_owned())));
}

pub(crate) async fn an_aborted_task_is_dropped_and_yields_cancelled<R: Runtime>(world: World<R>) {
    let (held, dropped) = oneshot::channel::<()>();
    let (started, running) = oneshot::channel();
    let task = world.client.spawn("patient", async move {
        let _held = held;
        started.send(()).expect("a receiver waits");
        pending::<()>().await;
    });
    running.await.expect("the task starts");
    assert!(!task.is_finished());
    task.abort();
    assert!(dropped.await.is_err(), "what the task held is dropped");
    assert_eq!(task.await, Err(JoinError::Cancelled));
}

pub(crate) async fn aborting_a_task_that_has_ended_changes_nothing<R: Runtime>(world: World<R>) {
    let (ending, ended) = oneshot::channel();
    let task = world.client.spawn("quick", async move {
        ending.send(()).expect("a receiver waits");
        7
    });
    ended.await.expect("the task runs");
    while !task.is_finished() {
        super::settle(&world).await;
    }
    task.abort();
    assert_eq!(task.await, Ok(7));
}

pub(crate) async fn a_task_whose_handle_is_dropped_runs_on<R: Runtime>(world: World<R>) {
    let (sender, receiver) = oneshot::channel();
    let runtime = world.client.clone();
    drop(world.client.spawn("detached", async move {
        runtime.sleep(super::SETTLE).await;
        sender.send("done").expect("a receiver waits");
    }));
    assert_eq!(receiver.await, Ok("done"));
}

pub(crate) async fn entropy_is_never_the_same_twice<R: Runtime>(world: World<R>) {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    world.client.fill_random(&mut first);
    world.client.fill_random(&mut second);
    assert_ne!(first, second);
    assert_ne!(first, [0; 32]);
}
