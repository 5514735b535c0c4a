//! Clock and timers.

use std::pin::pin;
use std::time::Duration;

use wavetank_runtime::{Runtime, Sleep};

use super::super::world::{NEVER, SETTLE};
use super::World;

pub(crate) async fn a_timer_never_completes_early<R: Runtime>(world: World<R>) {
    let runtime = world.client;
    let timer = runtime.sleep(SETTLE);
    let deadline = timer.deadline();
    timer.await;
    assert!(runtime.now() >= deadline);
    let deadline = runtime.now() + SETTLE;
    runtime.sleep_until(deadline).await;
    assert!(runtime.now() >= deadline);
}

pub(crate) async fn a_deadline_that_has_passed_completes_at_once<R: Runtime>(world: World<R>) {
    let runtime = world.client;
    let began = runtime.now();
    runtime.sleep(SETTLE).await;
    runtime.sleep_until(began).await;
    runtime.sleep(Duration::ZERO).await;
    assert!(runtime.now() - began < NEVER);
}

pub(crate) async fn the_earlier_of_two_timers_completes_first<R: Runtime>(world: World<R>) {
    let runtime = world.client;
    let (mut late, mut early) = (pin!(runtime.sleep(NEVER)), pin!(runtime.sleep(SETTLE)));
    tokio::select! {
        biased;
        () = &mut late => panic!("the later timer was first"),
        () = &mut early => {}
    }
}

pub(crate) async fn a_timer_can_be_set_earlier<R: Runtime>(world: World<R>) {
    let runtime = world.client;
    let began = runtime.now();
    let mut timer = pin!(runtime.sleep(NEVER));
    wait_a_little(&runtime, timer.as_mut()).await;
    timer.as_mut().reset(began + 2 * SETTLE);
    assert_eq!(timer.deadline(), began + 2 * SETTLE);
    timer.await;
    assert!(runtime.now() - began >= 2 * SETTLE);
    assert!(runtime.now() - began < NEVER);
}

pub(crate) async fn a_timer_can_be_set_later_and_again<R: Runtime>(world: World<R>) {
    let runtime = world.client;
    let began = runtime.now();
    let mut timer = pin!(runtime.sleep(SETTLE));
    for times in [3, 5] {
        timer.as_mut().reset(began + times * SETTLE);
        timer.as_mut().await;
        assert!(runtime.now() - began >= times * SETTLE);
    }
}

/// Polls `timer`, so that it is armed, and leaves it waiting.
async fn wait_a_little<R: Runtime>(runtime: &R, timer: std::pin::Pin<&mut R::Sleep>) {
    tokio::select! {
        biased;
        () = timer => panic!("this timer is far from its deadline"),
        () = runtime.sleep(SETTLE) => {}
    }
}
