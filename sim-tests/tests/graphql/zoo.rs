//! What published handlers fail in the zoo, asked of ours: the same bodies. The zoo has them with other engines, too.

use wavetank::{Host, Sim};
use wavetank_graphql::mock::Mock;
use wavetank_zoo_graphql::{Handler, Line, connection, fairness, operations, ours};

/// Our handler, with the mock engine.
struct Ours;

impl Handler for Ours {
    async fn serve(host: Host, line: Line) -> Result<(), String> {
        ours::serve(host, line, Mock::new(host)).await
    }
}

#[wavetank::test]
fn a_query_is_answered_beside_a_busy_subscription(sim: &mut Sim) {
    fairness::a_query_is_answered_beside_a_busy_subscription::<Ours>(sim);
}

#[wavetank::test]
fn a_taken_id_closes_with_4409(sim: &mut Sim) {
    operations::a_taken_id_closes_with_4409::<Ours>(sim);
}

#[wavetank::test]
fn an_error_is_the_last_message(sim: &mut Sim) {
    operations::an_error_is_the_last_message::<Ours>(sim);
}

#[wavetank::test]
fn a_completed_id_may_be_used_again(sim: &mut Sim) {
    operations::a_completed_id_may_be_used_again::<Ours>(sim);
}

#[wavetank::test]
fn nothing_follows_the_complete_of_a_client(sim: &mut Sim) {
    operations::nothing_follows_the_complete_of_a_client::<Ours>(sim);
}

#[wavetank::test]
fn a_second_init_closes_with_4429(sim: &mut Sim) {
    connection::a_second_init_closes_with_4429::<Ours>(sim);
}

#[wavetank::test]
fn a_client_that_answers_is_kept(sim: &mut Sim) {
    connection::a_client_that_answers_is_kept::<Ours>(sim);
}
