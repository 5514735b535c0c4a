//! Kernels of GoKer: known blocking bugs of Go programs, reduced to a few lines each, and their fixed versions.
//!
//! Written anew from the descriptions in [GoBench](https://github.com/timmyyuan/gobench). What locks is written as
//! threads, and runs on shuttle too. What waits for channels and timers is written as tasks with tokio's `sync`.

use crate::subject::{Finds, Subject};

mod channel_and_lock;
mod channels;
mod conditions;
mod double_lock;
mod lock_order;
mod tools;

/// Which version of a kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// With its bug.
    Buggy,
    /// As the bug was fixed.
    Fixed,
}

/// Makes a subject of a function over threads.
macro_rules! threads {
    ($name:literal, $body:path) => {
        Subject {
            name: $name,
            finds: Finds::Deadlock,
            published: None,
            ours: |sim| {
                sim.client_thread("kernel", |host| $body(&$crate::machine::Ours(host), Version::Buggy));
            },
            shuttle: Some(|| $body(&$crate::machine::Shuttle, Version::Buggy)),
            fixed: Some(|sim| {
                sim.client_thread("kernel", |host| $body(&$crate::machine::Ours(host), Version::Fixed));
            }),
        }
    };
}

/// Makes a subject of an async function over a host.
macro_rules! tasks {
    ($name:literal, $finds:ident, $body:path) => {
        Subject {
            name: $name,
            finds: Finds::$finds,
            published: None,
            ours: |sim| sim.client("kernel", async |host| $body(host, Version::Buggy).await),
            shuttle: None,
            fixed: Some(|sim| sim.client("kernel", async |host| $body(host, Version::Fixed).await)),
        }
    };
}

/// Returns the kernels in the order of the table.
pub fn kernels() -> Vec<Subject> {
    let mut kernels = of_locks();
    kernels.extend(of_lock_order());
    kernels.extend(of_conditions());
    kernels.extend(of_channels());
    kernels
}

fn of_locks() -> Vec<Subject> {
    vec![
        threads!("cockroach#584", double_lock::cockroach_584),
        threads!("cockroach#9935", double_lock::cockroach_9935),
        threads!("etcd#5509", double_lock::etcd_5509),
        threads!("etcd#10492", double_lock::etcd_10492),
        threads!("grpc#795", double_lock::grpc_795),
        threads!("moby#7559", double_lock::moby_7559),
        threads!("moby#17176", double_lock::moby_17176),
        threads!("moby#36114", double_lock::moby_36114),
        threads!("syncthing#4829", double_lock::syncthing_4829),
    ]
}

fn of_lock_order() -> Vec<Subject> {
    vec![
        threads!("cockroach#7504", lock_order::cockroach_7504),
        threads!("cockroach#10214", lock_order::cockroach_10214),
        threads!("hugo#3251", lock_order::hugo_3251),
        threads!("kubernetes#13135", lock_order::kubernetes_13135),
        threads!("kubernetes#30872", lock_order::kubernetes_30872),
        threads!("moby#4951", lock_order::moby_4951),
        threads!("cockroach#3710", lock_order::cockroach_3710),
        threads!("cockroach#6181", lock_order::cockroach_6181),
        threads!("cockroach#16167", lock_order::cockroach_16167),
        threads!("kubernetes#58107", lock_order::kubernetes_58107),
        threads!("kubernetes#62464", lock_order::kubernetes_62464),
    ]
}

fn of_conditions() -> Vec<Subject> {
    vec![
        threads!("cockroach#1055", conditions::cockroach_1055),
        threads!("kubernetes#26980", conditions::kubernetes_26980),
        threads!("moby#25384", conditions::moby_25384),
        threads!("moby#29733", conditions::moby_29733),
        threads!("moby#30408", conditions::moby_30408),
    ]
}

fn of_channels() -> Vec<Subject> {
    vec![
        tasks!("cockroach#24808", Deadlock, channels::cockroach_24808),
        tasks!("cockroach#25456", Deadlock, channels::cockroach_25456),
        tasks!("etcd#6857", Deadlock, channels::etcd_6857),
        tasks!("grpc#1275", Deadlock, channels::grpc_1275),
        tasks!("kubernetes#5316", Leak, channels::kubernetes_5316),
        tasks!("kubernetes#25331", Leak, channels::kubernetes_25331),
        tasks!("kubernetes#38669", Leak, channels::kubernetes_38669),
        tasks!("moby#4395", Leak, channels::moby_4395),
        tasks!("moby#33293", Leak, channels::moby_33293),
        tasks!("moby#33781", Leak, channels::moby_33781),
        tasks!("grpc#1353", Deadlock, channel_and_lock::grpc_1353),
        tasks!("kubernetes#1321", Deadlock, channel_and_lock::kubernetes_1321),
        tasks!("kubernetes#6632", Deadlock, channel_and_lock::kubernetes_6632),
        tasks!("kubernetes#10182", Deadlock, channel_and_lock::kubernetes_10182),
        tasks!("moby#28462", Deadlock, channel_and_lock::moby_28462),
    ]
}
