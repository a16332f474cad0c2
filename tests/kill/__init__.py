"""Faults, and the tests that show what they do: nothing is lost, nothing is doubled.

Targets have no unique key in these tests, so that a record that was written twice shows. `tests/kill/test_table.py` holds
this table against the tests that there are.

| fault | where it is shown |
|---|---|
| kill -9 of the worker, of its working child, of the dispatcher, of Valkey, of the console | tests/kill/test_runs.py::test_a_killed_process_loses_nothing, tests/kill/test_runs.py::test_the_working_child_may_be_killed_again_and_again |
| kill -9 of the workers of a split run, one after the other; a worker that dies at a named point of a slice | tests/kill/test_slices.py::test_workers_of_a_split_run_are_killed, tests/kill/test_slices.py::test_a_slice_is_taken_up_within_two_leases, tests/runs/test_slices.py::test_a_slice_of_a_dead_worker_is_taken_up |
| a worker that dies at a named point | tests/runs/test_crash.py::test_a_killed_run_ends_like_an_undisturbed_one, tests/runs/test_two_way_crash.py::test_a_killed_two_way_run_ends_like_an_undisturbed_one, tests/runs/test_two_way_servers.py::test_a_worker_that_dies_doubles_nothing |
| Valkey emptied and killed | tests/kill/test_runs.py::test_what_valkey_holds_is_lost |
| kill -9 and restart of source and target at a named point | tests/kill/test_servers.py::test_the_database_is_killed |
| kill -9 and restart of our own database, with or without the systems; a database that takes no connections for a while, at named points | tests/kill/test_servers.py::test_our_own_database_is_killed, tests/runs/test_outages.py::test_the_run_goes_on_by_itself, tests/runs/test_outages.py::test_it_stays_away_for_longer_than_the_lease |
| a worker that dies between the end of a run and the retry of what waits for its records | tests/runs/test_dependants.py::test_a_worker_that_dies_behind_the_end_of_its_run |
| random kills of all of them, seeded (soak) | tests/kill/test_random.py::test_random_kills |
| kill -9 of the worker in a transaction over several systems, of the databases, and of the network between them (a thousand in the soak) | tests/kill/test_transactions.py::test_some_kills_leave_nothing_half_done, tests/kill/test_transactions.py::test_a_thousand_kills_leave_nothing_half_done |
| kill -9 of the worker between the steps of a saga, and of the systems that it writes to, of which one loses answers (hundreds in the soak) | tests/kill/test_sagas.py::test_some_kills_leave_nothing_between_its_steps, tests/kill/test_sagas.py::test_many_kills_leave_nothing_between_its_steps |
| a worker that dies at a named point of a saga | tests/runs/sagas/test_saga_kills.py::test_a_killed_run_ends_like_an_undisturbed_one |
| kill -9 of the process that works on events, and of everything | tests/kill/test_events.py::test_the_process_is_killed_again_and_again, tests/kill/test_events.py::test_the_whole_installation_is_killed |
| a restart of the installation | tests/kill/test_runs.py::test_a_stopped_installation_goes_on_where_it_was |
| a worker paused past its lease and resumed | tests/kill/test_runs.py::test_a_worker_that_is_paused_past_its_lease_writes_no_more, tests/runs/test_two_way_laws.py::test_disturbances_and_the_order_of_records_make_no_difference |
| announcements that come twice and late | tests/runs/test_two_way_laws.py::test_disturbances_and_the_order_of_records_make_no_difference, tests/runs/test_promises.py::test_a_run_is_announced_until_it_is_claimed |
| disk full, below the target, below our own database, and a real one | tests/runs/test_disk_full.py::test_the_target_is_full, tests/runs/test_disk_full.py::test_our_own_database_is_full, tests/runs/test_disk_full.py::test_a_real_disk_is_full |
| the source answers 429, 500, too late, with half its JSON or with a reset, for a moment | tests/runs/test_bad_sources.py::test_a_service_that_fails_for_a_moment |
| the same, and wrong answers, for good | tests/runs/test_bad_sources.py::test_a_service_that_stays_broken |
| a list that moves while it is read | tests/runs/test_bad_sources.py::test_a_list_that_moves_up_while_it_is_read |
| fields changed during a run | tests/runs/test_schema_changes.py::test_changes_that_matter_to_nothing, tests/runs/test_schema_changes.py::test_changes_that_stop_a_run, tests/runs/test_schema_changes.py::test_another_type |
| poison records, by kind of bad value and by position | tests/runs/test_poison.py::test_poison_that_is_new, tests/runs/test_poison.py::test_poison_in_a_linked_record, tests/runs/test_poison.py::test_the_partner_of_a_changed_record_is_poison |
| records that are there and cannot be read when they are looked up | tests/connectors/test_lookups.py::test_what_cannot_be_read_is_not_missing |
| two and more dispatchers | tests/runs/test_dispatchers.py::test_each_slot_fires_once, tests/runs/test_dispatchers.py::test_each_run_is_worked_on_once |
| many requests at once | tests/runs/test_promises.py::test_of_many_requests_at_once_one_is_taken |
| clocks set forward and back, while runs work, wait and are due | tests/runs/test_clocks.py::test_the_clock_moves_while_a_run_works, tests/runs/test_clocks.py::test_a_run_of_a_dead_worker_is_taken_up_whatever_the_clock_says, tests/runs/test_clocks.py::test_a_schedule_goes_on_after_the_clock_was_wrong_for_a_while |
| two-way histories of edits with all of this (thousands in the soak) | tests/runs/test_two_way_laws.py::test_histories_obey_the_laws, tests/runs/test_two_way_laws.py::test_thousands_of_histories_obey_the_laws |
| one-way histories that go by what both sides agreed on last (thousands in the soak) | tests/runs/test_agreement_laws.py::test_histories_obey_the_laws, tests/runs/test_agreement_laws.py::test_disturbances_make_no_difference, tests/runs/test_agreement_laws.py::test_thousands_of_histories_obey_the_laws |
| one-way histories of edits with all of this, held against a model of the rule (thousands in the soak) | tests/runs/test_one_way_laws.py::test_histories_obey_the_laws, tests/runs/test_one_way_laws.py::test_histories_that_follow_a_log_obey_the_laws, tests/runs/test_one_way_laws.py::test_thousands_of_histories_obey_the_laws |
"""  # noqa: E501 - a table has a line a row
