//! The decision table, one case per row.

use rstest::rstest;

use super::*;
use crate::ledger;

const N: Vmid = Vmid(101);
const OBSERVE_AGAIN: Action = Action::Wait(Pause::Interval);
const BACK_OFF: Action = Action::Wait(Pause::BackOff);

/// Nothing was observed.
const NOTHING: Observed = Observed {
    requests_other: false,
    outcome: &RequestOutcome::Unknown,
    undecided: false,
    has_died: false,
    owner: Owner::NotChecked,
    age: Age::New,
    task_runs: false,
    namesake: Namesake::None,
};

const WITHOUT_ENSURE: Policy = Policy {
    ensure: false,
    vmid: None,
};
const WITH_ENSURE: Policy = Policy {
    ensure: true,
    vmid: None,
};

fn intent() -> Intent {
    ledger::tests::intent(N.0)
}

fn taken() -> RequestOutcome {
    RequestOutcome::Taken("unable to create VM 101: config file already exists".into())
}

fn temporary() -> RequestOutcome {
    RequestOutcome::Temporary("VM is locked (backup)".into())
}

fn refused() -> RequestOutcome {
    RequestOutcome::Refused(Box::new(pve::Error::NoTimeLeft { tried: None }))
}

fn failed() -> RequestOutcome {
    RequestOutcome::Failed(Failed {
        upid: "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:"
            .parse()
            .unwrap(),
        status: "clone failed: copy failed: exit code 1".into(),
        log: Vec::new(),
    })
}

fn stop(reason: fn(Intent) -> StopReason) -> Action {
    Action::Stop(reason(intent()))
}

#[rstest]
#[case::just_now(Age::New, false, OBSERVE_AGAIN)]
#[case::another_import_runs(Age::Settled, true, OBSERVE_AGAIN)]
#[case::for_the_settling_time(Age::Settled, false, stop(StopReason::HalfMade))]
fn requested_and_the_worker_of_the_import_has_died(
    #[case] age: Age,
    #[case] task_runs: bool,
    #[case] expected: Action,
    #[values(false, true)] undecided: bool,
) {
    let observed = Observed {
        undecided,
        has_died: true,
        owner: Owner::BeingCreated,
        age,
        task_runs,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITHOUT_ENSURE, &record, &observed), expected);
}

/// Without `--vmid`: the actions without and with `--ensure`.
#[rstest]
#[case::no_namesake(Namesake::None, Owner::NotChecked, Action::Request, Action::Request)]
#[case::one_may_be_hidden(
    Namesake::MayBeHidden,
    Owner::NotChecked,
    Action::Stop(StopReason::NameMayBeTaken),
    Action::Stop(StopReason::NameMayBeTaken)
)]
#[case::one_may_be_on_an_offline_node_which_is_accepted(
    Namesake::MayBeOffline,
    Owner::NotChecked,
    Action::Request,
    Action::Request
)]
#[case::one_that_is_complete(
    Namesake::One,
    Owner::Ours,
    Action::Stop(StopReason::Exists),
    Action::UseVm
)]
#[case::one_being_created(
    Namesake::One,
    Owner::BeingCreated,
    Action::Stop(StopReason::Exists),
    OBSERVE_AGAIN
)]
#[case::a_vm_with_the_name_of_a_new_template(
    Namesake::One,
    Owner::Another,
    Action::Stop(StopReason::Exists),
    Action::Stop(StopReason::Exists)
)]
#[case::several(
    Namesake::Several,
    Owner::NotChecked,
    Action::Stop(StopReason::Exists),
    Action::Stop(StopReason::Ambiguous)
)]
fn without_a_record(
    #[case] namesake: Namesake,
    #[case] owner: Owner,
    #[case] expected: Action,
    #[case] with_ensure: Action,
) {
    let observed = Observed {
        owner,
        namesake,
        ..NOTHING
    };
    for (ensure, expected) in [(false, expected), (true, with_ensure)] {
        let policy = Policy { ensure, vmid: None };
        assert_eq!(
            decide(policy, &Record::None, &observed),
            expected,
            "{ensure}"
        );
    }
}

/// With `--vmid`: the actions without and with `--ensure`.
#[rstest]
#[case::free(Namesake::None, Owner::Free, Action::Request, Action::Request)]
#[case::free_and_a_namesake_may_be_hidden(
    Namesake::MayBeHidden,
    Owner::Free,
    Action::Request,
    Action::Request
)]
#[case::of_another_guest(
    Namesake::None,
    Owner::Another,
    Action::Stop(StopReason::VmidTaken(N)),
    Action::Stop(StopReason::VmidTaken(N))
)]
#[case::hidden(
    Namesake::None,
    Owner::Hidden,
    Action::Stop(StopReason::VmidTaken(N)),
    Action::Stop(StopReason::VmidTaken(N))
)]
#[case::being_created(
    Namesake::None,
    Owner::BeingCreated,
    Action::Stop(StopReason::VmidTaken(N)),
    OBSERVE_AGAIN
)]
#[case::ours(
    Namesake::One,
    Owner::Ours,
    Action::Stop(StopReason::Exists),
    Action::UseVm
)]
#[case::ours_and_not_in_the_list(
    Namesake::None,
    Owner::Ours,
    Action::Stop(StopReason::Exists),
    Action::UseVm
)]
#[case::namesake_at_another_vmid(
    Namesake::Elsewhere,
    Owner::NotChecked,
    Action::Stop(StopReason::Exists),
    Action::Stop(StopReason::Exists)
)]
fn without_a_record_and_with_a_vmid(
    #[case] namesake: Namesake,
    #[case] owner: Owner,
    #[case] expected: Action,
    #[case] with_ensure: Action,
) {
    let observed = Observed {
        owner,
        namesake,
        ..NOTHING
    };
    for (ensure, expected) in [(false, expected), (true, with_ensure)] {
        let vmid = Some(N);
        let policy = Policy { ensure, vmid };
        assert_eq!(
            decide(policy, &Record::None, &observed),
            expected,
            "{ensure}"
        );
    }
}

/// Every request was answered.
#[rstest]
#[case::done(RequestOutcome::Done, Owner::NotChecked, Action::UseVm)]
#[case::done_and_just_hidden(RequestOutcome::Done, Owner::Hidden, OBSERVE_AGAIN)]
#[case::refused(refused(), Owner::NotChecked, stop(StopReason::CreationFailed))]
#[case::refused_without_quorum(RequestOutcome::NoQuorum, Owner::NotChecked, Action::Forget(N))]
#[case::locked(temporary(), Owner::NotChecked, BACK_OFF)]
#[case::after_a_lock(RequestOutcome::Due, Owner::NotChecked, Action::RequestAgain(intent()))]
#[case::taken_and_any_vmid_is_accepted(taken(), Owner::NotChecked, Action::Forget(N))]
#[case::taken_by_a_lock(taken(), Owner::Free, BACK_OFF)]
#[case::taken_by_another(taken(), Owner::Another, Action::Forget(N))]
#[case::taken_by_a_clone(taken(), Owner::BeingCreated, Action::Forget(N))]
#[case::taken_by_a_vm_of_the_name(taken(), Owner::Ours, Action::Forget(N))]
#[case::taken_by_an_incomplete_vm_of_the_name(taken(), Owner::Incomplete, Action::Forget(N))]
#[case::taken_and_unknown(taken(), Owner::Unknown, OBSERVE_AGAIN)]
#[case::taken_by_a_hidden_guest(taken(), Owner::Hidden, Action::Forget(N))]
#[case::failed_and_gone(failed(), Owner::Free, stop(StopReason::CreationFailed))]
#[case::failed_and_ours_nevertheless(failed(), Owner::Ours, Action::UseVm)]
#[case::failed_and_of_another_guest_now(failed(), Owner::Another, Action::Forget(N))]
#[case::failed_and_just_hidden(failed(), Owner::Hidden, OBSERVE_AGAIN)]
#[case::failed_and_unknown(failed(), Owner::Unknown, OBSERVE_AGAIN)]
#[case::failed_and_being_cleaned_up(failed(), Owner::BeingCreated, OBSERVE_AGAIN)]
fn requested_and_answered(
    #[case] outcome: RequestOutcome,
    #[case] owner: Owner,
    #[case] expected: Action,
    #[values(false, true)] ensure: bool,
) {
    let observed = Observed {
        outcome: &outcome,
        owner,
        ..NOTHING
    };
    let policy = Policy { ensure, vmid: None };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(policy, &record, &observed), expected);
}

/// While the request waited for a lock, another user may have created a VM of the name.
#[rstest]
#[case::not_checked(Namesake::NotChecked, OBSERVE_AGAIN)]
#[case::none(Namesake::None, Action::RequestAgain(intent()))]
#[case::one_may_be_hidden(Namesake::MayBeHidden, Action::Forget(N))]
#[case::one_may_be_offline(Namesake::MayBeOffline, Action::RequestAgain(intent()))]
#[case::one(Namesake::Elsewhere, Action::Forget(N))]
fn requested_and_due_again_after_a_lock(#[case] namesake: Namesake, #[case] expected: Action) {
    let observed = Observed {
        outcome: &RequestOutcome::Due,
        namesake,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITH_ENSURE, &record, &observed), expected);
}

/// A request of this run or of an earlier one got no usable answer.
#[rstest]
#[case::ours(Owner::Ours, Age::New, Action::UseVm)]
#[case::being_created(Owner::BeingCreated, Age::PastRestart, OBSERVE_AGAIN)]
#[case::outcome_unknown(Owner::Unknown, Age::PastRestart, OBSERVE_AGAIN)]
#[case::free_for_less_than_the_settling_time(Owner::Free, Age::New, OBSERVE_AGAIN)]
#[case::free_for_the_settling_time(Owner::Free, Age::Settled, Action::RequestAgain(intent()))]
#[case::of_another_guest(Owner::Another, Age::New, Action::Forget(N))]
#[case::just_hidden(Owner::Hidden, Age::New, OBSERVE_AGAIN)]
#[case::hidden_for_the_settling_time(Owner::Hidden, Age::Settled, stop(StopReason::Hidden))]
#[case::without_disks_of_its_template(Owner::Incomplete, Age::New, stop(StopReason::HalfMade))]
fn requested_and_undecided(
    #[case] owner: Owner,
    #[case] age: Age,
    #[case] expected: Action,
    #[values(RequestOutcome::Unknown, taken())] outcome: RequestOutcome,
) {
    let observed = Observed {
        outcome: &outcome,
        undecided: true,
        owner,
        age,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITH_ENSURE, &record, &observed), expected);
}

/// A volume of an earlier guest makes every request for its VMID fail.
#[rstest]
fn requested_and_a_volume_is_left_over(#[values(false, true)] undecided: bool) {
    let observed = Observed {
        outcome: &RequestOutcome::LeftOver(
            "disk image 'vm-101-cloudinit.qcow2' already exists".into(),
        ),
        undecided,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITH_ENSURE, &record, &observed), Action::Forget(N));
}

/// If this token sees no VMs, the task is the only evidence.
#[rstest]
#[case::done(RequestOutcome::Done, Action::UseVm)]
#[case::failed(failed(), stop(StopReason::CreationFailed))]
fn requested_and_answered_and_hidden_for_the_settling_time(
    #[case] outcome: RequestOutcome,
    #[case] expected: Action,
    #[values(false, true)] task_runs: bool,
) {
    let observed = Observed {
        outcome: &outcome,
        owner: Owner::Hidden,
        age: Age::Settled,
        task_runs,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    let expected = if task_runs { OBSERVE_AGAIN } else { expected };
    assert_eq!(decide(WITHOUT_ENSURE, &record, &observed), expected);
}

/// The name is checked before the request is repeated.
#[test]
fn requested_and_undecided_before_the_name_was_checked() {
    let observed = Observed {
        undecided: true,
        owner: Owner::Free,
        age: Age::PastRestart,
        namesake: Namesake::NotChecked,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITH_ENSURE, &record, &observed), OBSERVE_AGAIN);
}

/// A request is never repeated while the name is taken.
#[rstest]
#[case::for_the_settling_time(Age::Settled, OBSERVE_AGAIN)]
#[case::for_the_restart_time(Age::PastRestart, Action::Forget(N))]
fn requested_and_undecided_while_another_vm_has_the_name(
    #[case] age: Age,
    #[case] expected: Action,
    #[values(Namesake::One, Namesake::Several, Namesake::Elsewhere)] namesake: Namesake,
) {
    let observed = Observed {
        undecided: true,
        owner: Owner::Free,
        age,
        namesake,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITH_ENSURE, &record, &observed), expected);
}

#[rstest]
#[case::a_clone_is_running(false, true, OBSERVE_AGAIN)]
#[case::no_clone_is_running(false, false, stop(StopReason::HalfMade))]
#[case::an_earlier_request_may_be_running(true, false, OBSERVE_AGAIN)]
fn failed_and_still_locked_after_the_settling_time(
    #[case] undecided: bool,
    #[case] task_runs: bool,
    #[case] expected: Action,
) {
    let observed = Observed {
        outcome: &failed(),
        owner: Owner::BeingCreated,
        age: Age::Settled,
        undecided,
        task_runs,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITHOUT_ENSURE, &record, &observed), expected);
}

#[test]
fn a_hidden_vmid_is_awaited_while_a_clone_to_it_runs() {
    let observed = Observed {
        undecided: true,
        owner: Owner::Hidden,
        age: Age::PastRestart,
        task_runs: true,
        ..NOTHING
    };
    let record = Record::Requested(intent(), None);
    assert_eq!(decide(WITHOUT_ENSURE, &record, &observed), OBSERVE_AGAIN);
}

/// Another template, storage, pool …
#[rstest]
#[case::requested_and_ours(
    Record::Requested(intent(), None),
    Owner::Ours,
    stop(StopReason::OtherRequest)
)]
#[case::requested_and_free(
    Record::Requested(intent(), None),
    Owner::Free,
    stop(StopReason::OtherRequest)
)]
#[case::requested_and_of_another_guest(
    Record::Requested(intent(), None),
    Owner::Another,
    Action::Forget(N)
)]
#[case::created_and_ours(Record::Created(intent()), Owner::Ours, stop(StopReason::OtherRequest))]
#[case::created_and_destroyed(Record::Created(intent()), Owner::Free, Action::Forget(N))]
fn an_order_that_requests_another_clone(
    #[case] record: Record,
    #[case] owner: Owner,
    #[case] expected: Action,
) {
    let observed = Observed {
        requests_other: true,
        undecided: true,
        owner,
        ..NOTHING
    };
    assert_eq!(decide(WITH_ENSURE, &record, &observed), expected);
}

/// Without and with `--ensure`.
#[rstest]
#[case::created_and_ours(Record::Created(intent()), Owner::Ours, Action::UseVm, Action::UseVm)]
#[case::created_and_free(
    Record::Created(intent()),
    Owner::Free,
    Action::Forget(N),
    Action::Forget(N)
)]
#[case::created_and_of_another_guest(
    Record::Created(intent()),
    Owner::Another,
    Action::Forget(N),
    Action::Forget(N)
)]
#[case::created_and_locked(
    Record::Created(intent()),
    Owner::BeingCreated,
    OBSERVE_AGAIN,
    OBSERVE_AGAIN
)]
#[case::created_and_unknown(
    Record::Created(intent()),
    Owner::Unknown,
    OBSERVE_AGAIN,
    OBSERVE_AGAIN
)]
#[case::finished_and_ours(
    Record::Finished(intent()),
    Owner::Ours,
    Action::Stop(StopReason::Exists),
    Action::UseVm
)]
#[case::finished_and_free(
    Record::Finished(intent()),
    Owner::Free,
    Action::Forget(N),
    Action::Forget(N)
)]
#[case::finished_and_of_another_guest(
    Record::Finished(intent()),
    Owner::Another,
    Action::Forget(N),
    Action::Forget(N)
)]
fn created_or_finished(
    #[case] record: Record,
    #[case] owner: Owner,
    #[case] expected: Action,
    #[case] with_ensure: Action,
) {
    let observed = Observed { owner, ..NOTHING };
    for (ensure, expected) in [(false, expected), (true, with_ensure)] {
        let policy = Policy { ensure, vmid: None };
        assert_eq!(decide(policy, &record, &observed), expected, "{ensure}");
    }
}

#[rstest]
#[case::just(Age::New, OBSERVE_AGAIN)]
#[case::for_the_settling_time(Age::Settled, stop(StopReason::Hidden))]
fn a_created_vm_that_is_hidden(#[case] age: Age, #[case] expected: Action) {
    let observed = Observed {
        owner: Owner::Hidden,
        age,
        ..NOTHING
    };
    for record in [Record::Created(intent()), Record::Finished(intent())] {
        assert_eq!(decide(WITH_ENSURE, &record, &observed), expected);
    }
}

/// `--vmid` with another VMID does not choose that VM.
#[test]
fn a_finished_vm_and_another_vmid() {
    let observed = Observed {
        owner: Owner::Ours,
        ..NOTHING
    };
    let policy = Policy {
        ensure: true,
        vmid: Some(Vmid(102)),
    };
    let decided = decide(policy, &Record::Finished(intent()), &observed);
    assert_eq!(decided, Action::Stop(StopReason::Exists));
}
