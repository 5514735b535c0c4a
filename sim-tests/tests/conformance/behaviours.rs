//! The list of all behaviours: each stands here once, and every world runs it from here.
//!
//! A macro takes the name of the function, at the root, that runs one behaviour in one world; a module of tests gets the
//! same name. The function is given the behaviour's name too, for messages and recordings.

/// Every async behaviour, by file.
macro_rules! async_behaviours {
    ($run:ident) => {
        behaviours! {
            $run, tasks,
            connect {
                both_ends_agree_on_their_addresses,
                port_zero_gives_each_listener_a_port_of_its_own,
                a_connect_to_a_port_without_a_listener_is_refused,
                connections_are_accepted_in_the_order_in_which_they_were_made,
                a_client_may_write_before_it_is_accepted,
                a_backlog_of_one_completes_two_connects_and_the_third_waits_for_its_retry,
                a_client_that_waits_for_room_is_refused_once_the_listener_is_gone,
                the_text_of_an_address_resolves_to_itself,
                localhost_resolves_to_this_machine,
                an_unknown_name_is_an_error,
            }
            listen {
                a_port_that_is_listened_on_is_in_use,
                an_address_of_another_machine_is_not_available,
                a_listener_on_the_wildcard_accepts_on_every_address,
                a_port_can_be_listened_on_again_while_an_accepted_connection_lives,
                a_port_can_be_listened_on_again_after_its_connections_were_closed,
                the_end_of_a_listener_resets_the_connections_that_were_not_accepted,
                a_connection_whose_client_has_closed_is_accepted_with_its_bytes,
                a_connection_whose_client_has_reset_it_is_accepted_with_its_bytes,
            }
            close {
                messages_travel_both_ways,
                an_answer_arrives_whole_after_the_client_has_half_closed,
                a_client_may_go_on_sending_after_the_server_has_half_closed,
                the_end_of_a_stream_is_read_again_and_again,
                an_end_in_the_middle_of_a_message_is_unexpected,
                a_write_after_a_half_close_is_a_broken_pipe,
                a_connection_is_over_once_both_ends_have_half_closed,
                dropping_the_writing_half_half_closes,
                dropping_the_reading_half_does_nothing,
                dropping_both_halves_closes,
            }
            reset {
                abort_resets_the_connection,
                a_reset_is_reported_once_even_if_a_writer_meets_it_first,
                bytes_that_came_before_a_reset_are_read_first,
                bytes_that_came_before_a_reset_survive_a_writer_that_meets_it_first,
                closing_with_unread_bytes_resets_the_peer,
                a_writer_meets_the_reset_of_a_close_with_unread_bytes_too,
                the_first_write_to_a_closed_reader_is_taken_and_the_next_is_a_broken_pipe,
                a_reader_that_has_seen_the_end_sees_it_again_after_the_reset,
                a_reset_after_the_end_of_a_stream_is_no_reset_to_its_reader,
                a_client_that_has_half_closed_still_meets_a_reset,
                after_a_reset_only_the_own_address_is_known,
                a_reader_that_waits_meets_the_reset,
                a_writer_that_waits_meets_the_reset,
                one_of_two_halves_meets_the_reset,
            }
            flow {
                a_writer_is_held_back_by_buffers_of_4_kib,
                a_writer_is_held_back_by_buffers_of_64_kib,
                a_stuck_writer_can_write_again_once_its_bytes_were_read,
                an_abandoned_read_loses_nothing,
                of_those_who_poll_a_stream_the_last_is_woken,
            }
            time {
                a_timer_completes_at_its_deadline_or_after_it,
                a_deadline_that_has_passed_completes_at_once,
                the_earlier_of_two_timers_completes_first,
                a_timer_can_be_set_to_an_earlier_deadline,
                a_timer_can_be_set_to_a_later_deadline_and_again_after_it_completed,
            }
            run {
                a_task_yields_its_result,
                a_panic_reaches_whoever_joins_the_task,
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
                port_zero_gives_each_listener_a_port_of_its_own,
                a_connect_to_a_port_without_a_listener_is_refused,
                connections_are_accepted_in_the_order_in_which_they_were_made,
                a_client_may_write_before_it_is_accepted,
                a_backlog_of_one_completes_two_connects_and_the_third_waits_for_its_retry,
                a_client_that_waits_for_room_is_refused_once_the_listener_is_gone,
                a_connect_without_room_for_it_times_out,
                a_connect_timeout_of_zero_is_invalid,
                the_text_of_an_address_resolves_to_itself,
                localhost_resolves_to_this_machine,
                an_unknown_name_is_an_error,
            }
            listen {
                a_port_that_is_listened_on_is_in_use,
                an_address_of_another_machine_is_not_available,
                a_listener_on_the_wildcard_accepts_on_every_address,
                a_port_can_be_listened_on_again_while_an_accepted_connection_lives,
                a_port_can_be_listened_on_again_after_its_connections_were_closed,
                the_end_of_a_listener_resets_the_connections_that_were_not_accepted,
                a_connection_whose_client_has_closed_is_accepted_with_its_bytes,
                a_connection_whose_client_has_reset_it_is_accepted_with_its_bytes,
            }
            close {
                messages_travel_both_ways,
                an_answer_arrives_whole_after_the_client_has_half_closed,
                a_client_may_go_on_sending_after_the_server_has_half_closed,
                the_end_of_a_stream_is_read_again_and_again,
                an_end_in_the_middle_of_a_message_is_unexpected,
                a_write_after_a_half_close_is_a_broken_pipe,
                a_connection_is_over_once_both_ends_have_half_closed,
                a_connection_closes_when_its_last_clone_is_dropped,
            }
            shutdown {
                shutting_down_reading_wakes_a_reader_with_the_end,
                shutting_down_both_directions_wakes_a_reader_with_the_end,
                shutting_down_writing_leaves_a_reader_waiting,
                shutting_down_writing_wakes_a_writer_with_a_broken_pipe,
                the_peer_does_not_notice_that_reading_was_shut_down,
                bytes_are_readable_although_reading_was_shut_down,
                closing_with_unread_bytes_resets_even_if_reading_was_shut_down,
                bytes_for_a_stream_that_was_shut_down_both_ways_reset_both_ends,
                a_second_shutdown_is_fine_while_the_peer_has_not_closed,
            }
            reset {
                abort_resets_the_connection,
                a_reset_is_reported_once_even_if_a_writer_meets_it_first,
                bytes_that_came_before_a_reset_are_read_first,
                bytes_that_came_before_a_reset_survive_a_writer_that_meets_it_first,
                closing_with_unread_bytes_resets_the_peer,
                a_writer_meets_the_reset_of_a_close_with_unread_bytes_too,
                the_first_write_to_a_closed_reader_is_taken_and_the_next_is_a_broken_pipe,
                a_reader_that_has_seen_the_end_sees_it_again_after_the_reset,
                a_reset_after_the_end_of_a_stream_is_no_reset_to_its_reader,
                a_client_that_has_half_closed_still_meets_a_reset,
                after_a_reset_only_the_own_address_is_known,
                a_reader_that_waits_meets_the_reset,
                a_writer_that_waits_meets_the_reset,
                one_of_two_clones_meets_the_reset,
                abort_of_a_clone_resets_when_the_last_clone_is_dropped,
            }
            flow {
                a_writer_is_held_back_by_buffers_of_4_kib,
                a_writer_is_held_back_by_buffers_of_64_kib,
                a_read_timeout_is_would_block_and_the_stream_stays_usable,
                a_write_timeout_is_would_block_and_the_stream_stays_usable,
                a_timeout_is_shared_by_all_clones,
                a_timeout_of_zero_is_invalid,
                a_timeout_does_not_hide_the_end,
            }
            locks {
                one_thread_at_a_time_holds_a_lock,
                a_lock_that_is_held_cannot_be_tried,
                a_waiter_wakes_when_it_is_notified,
                notify_one_is_enough_for_each_of_several_waiters,
                notify_all_wakes_every_waiter,
                a_waiter_releases_the_lock_and_takes_it_again,
                a_wait_that_nobody_ends_times_out,
                a_wait_with_a_timeout_ends_when_it_is_notified,
            }
            run {
                a_sleep_is_never_too_short,
                the_shorter_of_two_sleeps_ends_first,
                a_thread_yields_its_result,
                a_thread_is_finished_once_it_has_ended,
                a_panic_reaches_whoever_joins_the_thread,
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
