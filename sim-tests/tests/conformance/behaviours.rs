//! The list of all behaviours: each is here once, and every world runs it from here.
//!
//! A macro takes the name of the function, at the root, that runs one behaviour in one world; a module of tests gets
//! the same name. The function is given the behaviour's name too, for messages and recordings.

/// Every async behaviour, by file.
macro_rules! async_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, tasks,
            connect {
                both_ends_agree_on_their_addresses,
                port_zero_gives_each_listener_a_port,
                connecting_without_a_listener_is_refused,
                connections_are_accepted_in_order,
                a_client_may_write_before_it_is_accepted,
                a_backlog_of_one_completes_two_connects,
                closing_the_listener_refuses_a_waiting_client,
                the_text_of_an_address_resolves_to_itself,
                localhost_resolves_to_this_machine,
                an_unknown_name_is_an_error,
                capitals_and_short_addresses_resolve,
                a_client_may_connect_to_itself,
            }
            listen {
                a_listening_port_is_in_use,
                an_address_of_another_machine_is_not_available,
                a_wildcard_listener_accepts_on_every_address,
                an_accepted_connection_does_not_block_its_port,
                a_closed_listeners_port_can_be_reused,
                closing_a_listener_resets_connections_not_accepted,
                a_closed_connection_is_accepted_with_its_bytes,
                a_reset_connection_is_accepted_with_its_bytes,
                listeners_of_ipv4_refuse_ipv6_clients,
                a_listener_of_both_families_maps_addresses,
            }
            close {
                messages_travel_both_ways,
                an_answer_arrives_whole_after_half_close,
                a_client_may_send_after_the_servers_fin,
                the_end_is_read_again_and_again,
                an_end_within_a_message_is_unexpected,
                writing_after_half_close_is_a_broken_pipe,
                a_connection_ends_after_two_half_closes,
                dropping_the_writing_half_half_closes,
                dropping_the_reading_half_does_nothing,
                dropping_both_halves_closes,
            }
            reset {
                abort_resets_the_connection,
                a_reset_is_reported_once,
                bytes_before_a_reset_are_read_first,
                bytes_before_a_reset_survive_a_failed_write,
                closing_with_unread_bytes_resets_the_peer,
                a_writer_sees_the_reset_of_unread_bytes,
                the_second_write_to_a_closed_reader_fails,
                a_reset_after_the_end_stays_unseen,
                a_reader_at_the_end_never_sees_resets,
                a_half_closed_client_still_sees_a_reset,
                after_a_reset_the_peer_is_unknown,
                a_reader_that_waits_meets_the_reset,
                a_writer_that_waits_meets_the_reset,
                one_of_two_halves_meets_the_reset,
            }
            flow {
                buffers_of_4_kib_bound_a_writer,
                buffers_of_64_kib_bound_a_writer,
                reading_unblocks_a_stuck_writer,
                an_abandoned_read_loses_nothing,
                only_the_most_recent_poller_is_woken,
                a_stuck_writer_waits_for_its_wakeup,
                vectored_writes_are_taken_whole,
            }
            time {
                a_timer_never_completes_early,
                a_deadline_that_has_passed_completes_at_once,
                the_earlier_of_two_timers_completes_first,
                a_timer_can_be_set_earlier,
                a_timer_can_be_set_later_and_again,
            }
            run {
                a_task_yields_its_result,
                joining_a_task_reports_its_panic,
                an_aborted_task_is_dropped_and_yields_cancelled,
                aborting_a_task_that_has_ended_changes_nothing,
                a_task_whose_handle_is_dropped_runs_on,
                entropy_is_never_the_same_twice,
            }
        }
    };
}

/// Every blocking behaviour, by file.
macro_rules! blocking_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, threads,
            connect {
                both_ends_agree_on_their_addresses,
                port_zero_gives_each_listener_a_port,
                connecting_without_a_listener_is_refused,
                connections_are_accepted_in_order,
                a_client_may_write_before_it_is_accepted,
                a_backlog_of_one_completes_two_connects,
                closing_the_listener_refuses_a_waiting_client,
                a_connect_without_room_for_it_times_out,
                a_connect_timeout_of_zero_is_invalid,
                the_text_of_an_address_resolves_to_itself,
                localhost_resolves_to_this_machine,
                an_unknown_name_is_an_error,
                capitals_and_short_addresses_resolve,
                a_client_may_connect_to_itself,
            }
            listen {
                a_listening_port_is_in_use,
                an_address_of_another_machine_is_not_available,
                a_wildcard_listener_accepts_on_every_address,
                an_accepted_connection_does_not_block_its_port,
                a_closed_listeners_port_can_be_reused,
                closing_a_listener_resets_connections_not_accepted,
                a_closed_connection_is_accepted_with_its_bytes,
                a_reset_connection_is_accepted_with_its_bytes,
                listeners_of_ipv4_refuse_ipv6_clients,
                a_listener_of_both_families_maps_addresses,
            }
            close {
                messages_travel_both_ways,
                an_answer_arrives_whole_after_half_close,
                a_client_may_send_after_the_servers_fin,
                the_end_is_read_again_and_again,
                an_end_within_a_message_is_unexpected,
                writing_after_half_close_is_a_broken_pipe,
                a_connection_ends_after_two_half_closes,
                dropping_the_last_clone_closes,
            }
            shutdown {
                shutting_down_reading_wakes_a_reader,
                shutting_down_both_ways_wakes_a_reader,
                shutting_down_writing_leaves_a_reader_waiting,
                shutting_down_writing_wakes_a_writer,
                the_peer_does_not_notice_shut_down_reading,
                bytes_are_readable_although_reading_was_shut_down,
                closing_with_unread_bytes_resets_despite_shutdown,
                bytes_after_shutting_down_both_reset_both_ends,
                a_second_shutdown_succeeds_while_the_peer_lives,
            }
            reset {
                abort_resets_the_connection,
                a_reset_is_reported_once,
                bytes_before_a_reset_are_read_first,
                bytes_before_a_reset_survive_a_failed_write,
                closing_with_unread_bytes_resets_the_peer,
                a_writer_sees_the_reset_of_unread_bytes,
                the_second_write_to_a_closed_reader_fails,
                a_reset_after_the_end_stays_unseen,
                a_reader_at_the_end_never_sees_resets,
                a_half_closed_client_still_sees_a_reset,
                after_a_reset_the_peer_is_unknown,
                a_reader_that_waits_meets_the_reset,
                a_writer_that_waits_meets_the_reset,
                one_of_two_clones_meets_the_reset,
                an_aborted_clone_resets_after_the_last_drop,
            }
            flow {
                buffers_of_4_kib_bound_a_writer,
                buffers_of_64_kib_bound_a_writer,
                a_read_timeout_leaves_the_stream_usable,
                a_write_timeout_leaves_the_stream_usable,
                a_timeout_is_shared_by_all_clones,
                a_timeout_of_zero_is_invalid,
                a_timeout_does_not_hide_the_end,
                timeouts_report_eagain,
                an_empty_read_times_out_with_nothing,
                vectored_writes_are_taken_whole,
            }
            locks {
                one_thread_at_a_time_holds_a_lock,
                a_lock_that_is_held_cannot_be_tried,
                a_waiter_wakes_when_it_is_notified,
                notify_one_wakes_each_waiter_in_turn,
                notify_all_wakes_every_waiter,
                waiting_releases_and_retakes_the_lock,
                a_wait_without_notification_times_out,
                notifying_ends_a_wait_with_timeout,
            }
            run {
                a_sleep_is_never_too_short,
                the_shorter_of_two_sleeps_ends_first,
                a_thread_yields_its_result,
                a_thread_is_finished_once_it_has_ended,
                joining_a_thread_reports_its_panic,
                a_thread_whose_handle_is_dropped_runs_on,
                entropy_is_never_the_same_twice,
            }
        }
    };
}

/// One test for each behaviour.
macro_rules! behaviours {
    ($run:ident, $kind:ident, $($file:ident { $($behaviour:ident,)* })*) => {
        mod $run {
            /// Every behaviour of this world.
            pub(crate) const NAMES: &[&str] = &[$($(stringify!($behaviour),)*)*];

            $(
                mod $file {
                    use crate::conformance::$kind::$file;

                    $(
                        #[test]
                        fn $behaviour() {
                            crate::$run(stringify!($behaviour), $file::$behaviour);
                        }
                    )*
                }
            )*
        }
    };
}
