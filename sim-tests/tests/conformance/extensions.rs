//! The lists of behaviours of UDP and of Unix sockets, which a world need not have, and how they are run.
//!
//! Each list is a macro of its own, as in `behaviours`. A behaviour of UDP gets a [`World`], as those of TCP do; one of
//! Unix sockets a [`Place`]: one machine, and a directory on it.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use wavetank::Host;
use wavetank::turmoil::TurmoilHost;
use wavetank_runtime::{Std, Tokio};

use super::world::World;

/// Where Unix sockets meet.
#[derive(Clone, Debug)]
pub(crate) struct Place<R> {
    pub(crate) host: R,
    directory: PathBuf,
}

impl<R> Place<R> {
    /// A path of this place's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A directory of the real file system that goes away with what it was made for.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        // Short: a socket's path has room for 107 bytes.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("wavetank-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory for temporary files");
        Self(directory)
    }

    fn place<R>(&self, host: R) -> Place<R> {
        Place { host, directory: self.0.clone() }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn simulated<R>(host: R) -> Place<R> {
    Place { host, directory: PathBuf::from("/run") }
}

pub(crate) fn udp_on_tokio<F: Future<Output = ()>>(name: &str, behaviour: impl FnOnce(World<Tokio>) -> F) {
    crate::on_tokio(name, behaviour);
}

pub(crate) fn udp_on_std(name: &'static str, behaviour: fn(World<Std>)) {
    crate::on_std(name, behaviour);
}

pub(crate) fn udp_in_simulation_tasks<F: Future<Output = ()> + 'static>(
    name: &str,
    behaviour: impl FnOnce(World<Host>) -> F + Copy + Send + Sync + 'static,
) {
    crate::in_simulation_tasks(&format!("udp::{name}"), behaviour);
}

pub(crate) fn udp_in_simulation_threads(name: &str, behaviour: fn(World<Host>)) {
    crate::in_simulation_threads(&format!("udp::{name}"), behaviour);
}

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(crate) fn udp_in_process_tasks<F: Future<Output = ()>>(
    name: &'static str,
    behaviour: impl FnOnce(World<Tokio>) -> F + Copy + Send + Sync + 'static,
) {
    crate::in_process_tasks(name, behaviour);
}

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(crate) fn udp_in_process_threads(name: &'static str, behaviour: fn(World<Std>)) {
    crate::in_process_threads(name, behaviour);
}

pub(crate) fn udp_in_turmoil_tasks<F: Future<Output = ()> + 'static>(
    name: &str,
    behaviour: impl FnOnce(World<TurmoilHost>) -> F + Copy + Send + Sync + 'static,
) {
    crate::in_turmoil_tasks(&format!("udp::{name}"), behaviour);
}

pub(crate) fn udp_in_turmoil_threads(name: &str, behaviour: fn(World<TurmoilHost>)) {
    crate::in_turmoil_threads(&format!("udp::{name}"), behaviour);
}

pub(crate) fn unix_on_tokio<F: Future<Output = ()>>(name: &str, behaviour: impl FnOnce(Place<Tokio>) -> F) {
    let directory = Temporary::new();
    crate::on_tokio(name, |world| behaviour(directory.place(world.client)));
}

pub(crate) fn unix_on_std(name: &'static str, behaviour: fn(Place<Std>)) {
    let directory = Temporary::new();
    let place = directory.place(Std);
    crate::on_std(name, move |_| behaviour(place));
}

pub(crate) fn unix_in_simulation_tasks<F: Future<Output = ()> + 'static>(
    name: &str,
    behaviour: impl FnOnce(Place<Host>) -> F + Copy + Send + Sync + 'static,
) {
    crate::sweep_in_simulation("one_host", &format!("unix::{name}"), move |sim| {
        sim.client("client", async move |host: Host| behaviour(simulated(host)).await);
    });
}

pub(crate) fn unix_in_simulation_threads(name: &str, behaviour: fn(Place<Host>)) {
    crate::sweep_in_simulation("one_host", &format!("unix::{name}"), move |sim| {
        sim.client_thread("client", move |host| behaviour(simulated(host)));
    });
}

pub(crate) fn unix_in_turmoil_tasks<F: Future<Output = ()> + 'static>(
    name: &str,
    behaviour: impl FnOnce(Place<TurmoilHost>) -> F + Copy + Send + Sync + 'static,
) {
    crate::in_turmoil_tasks(&format!("unix::{name}"), move |world| behaviour(simulated(world.client)));
}

pub(crate) fn unix_in_turmoil_threads(name: &str, behaviour: fn(Place<TurmoilHost>)) {
    crate::in_turmoil("turmoil_threads", &format!("unix::{name}"), move |sim| {
        sim.client_thread("machine", move |host| behaviour(simulated(host)));
    });
}

/// Every behaviour of UDP that tasks see.
macro_rules! async_udp_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, tasks,
            udp {
                datagrams_travel_both_ways_and_name_their_sender,
                each_datagram_is_received_by_itself,
                bytes_beyond_the_buffer_are_lost,
                the_largest_datagram_arrives_a_larger_fails,
                a_port_that_is_bound_is_in_use,
                dropping_a_socket_frees_its_port,
                an_address_of_another_machine_is_not_available,
                a_wildcard_socket_receives_on_every_address,
                a_send_without_a_peer_is_an_error,
                a_send_to_port_zero_is_invalid,
                connecting_settles_both_addresses,
                a_connected_socket_receives_from_its_peer_alone,
                a_connected_sockets_port_is_closed_to_others,
                a_socket_can_be_connected_to_another_peer,
                datagrams_from_before_a_connect_are_received,
                a_connected_sender_sees_one_refusal,
                a_send_takes_the_refusal_and_sends_nothing,
                a_waiting_receiver_sees_the_refusal,
                a_refusal_comes_before_datagrams_that_wait,
                a_sender_that_is_not_connected_learns_nothing,
                a_full_receive_buffer_loses_the_newest,
                an_abandoned_receive_loses_nothing,
                datagrams_fill_buffers_by_memory,
                a_socket_may_connect_to_port_zero,
            }
        }
    };
}

/// Every behaviour of UDP that blocking threads see.
macro_rules! blocking_udp_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, threads,
            udp {
                datagrams_travel_both_ways_and_name_their_sender,
                each_datagram_is_received_by_itself,
                oversized_or_unaddressed_datagrams_are_errors,
                a_port_that_is_bound_is_in_use,
                a_connected_socket_receives_from_its_peer_alone,
                a_send_sees_one_refusal,
                a_waiting_thread_sees_the_refusal,
                a_read_timeout_leaves_the_socket_usable,
                a_timeout_is_shared_by_all_clones,
                a_timeout_of_zero_is_invalid,
                dropping_the_last_clone_frees_the_port,
                a_socket_may_connect_to_port_zero,
                a_read_timeout_reports_eagain,
            }
        }
    };
}

/// Every behaviour of Unix sockets that tasks see.
macro_rules! async_unix_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, tasks,
            unix {
                a_missing_path_is_not_found,
                a_listening_path_is_in_use,
                a_path_stays_until_it_is_unlinked,
                unlinking_a_path_leaves_the_connections_that_wait,
                impossible_paths_are_invalid,
                messages_travel_both_ways_until_half_close,
                a_client_may_write_and_close_before_acceptance,
                a_full_backlog_would_block,
                closing_a_listener_resets_connections_not_accepted,
                writing_to_a_closed_peer_fails_at_once,
                closing_with_unread_bytes_resets_the_peer,
                a_writer_leaves_the_reset_to_the_reader,
                a_reader_that_waits_meets_the_reset,
                a_writer_that_waits_meets_the_broken_pipe,
                shutting_down_is_always_fine,
                dropping_the_writing_half_half_closes,
                dropping_the_reading_half_does_nothing,
                the_send_buffer_bounds_a_writer,
                an_abandoned_read_loses_nothing,
                small_messages_fill_buffers_by_number,
                vectored_writes_are_taken_whole,
                a_missing_directory_is_not_found,
            }
        }
    };
}

/// Every behaviour of Unix sockets that blocking threads see.
macro_rules! blocking_unix_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, threads,
            unix {
                messages_travel_both_ways_until_half_close,
                a_path_stays_until_it_is_unlinked,
                a_full_backlog_blocks_until_there_is_room,
                closing_the_listener_refuses_a_waiting_client,
                a_connect_without_room_for_it_times_out,
                a_timeout_of_zero_is_invalid,
                shutting_down_reading_breaks_the_peers_pipe,
                shutting_down_reading_wakes_the_peers_writers,
                bytes_are_readable_although_reading_was_shut_down,
                closing_with_unread_bytes_resets_the_peer,
                a_writer_that_waits_meets_the_reset,
                an_orderly_close_breaks_a_waiting_writers_pipe,
                a_partial_write_comes_before_the_broken_pipe,
                dropping_the_last_clone_closes,
                the_send_buffer_bounds_a_writer,
                timeouts_leave_the_stream_usable,
                a_message_counts_until_it_is_read,
                an_empty_read_times_out,
                a_missing_directory_is_not_found,
            }
        }
    };
}
