//! The progress line of `vm create`, at a real terminal, and what remains of it.

mod frame;
mod interrupted;
mod narrower;
mod outage;
mod session;
mod silent;

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::Homelab;
pub(crate) use session::output_of;
use session::{Outcome, Session};

const CREATE: &str = "proxmox vm create a t --resize scsi0=+1G --wait-ip --poll-interval 0.05";
const CREATING: &str = "Creating VM 'a' from template 't'...";
const CREATED: &str = "Successfully created VM 101 'a' on node 'pve1' at 10.0.0.5\n";
const POLL: &str = "GET /nodes/pve1/tasks/UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:\
                    root@pam!cli:/status";

/// Copies two disks, slowly, and is slow in every later step.
fn slow(faults: &Value, polls: u32) -> FakePve {
    let setup = json!({
        "guests": [
            {"vmid": 100, "name": "router"},
            {"vmid": 9000, "name": "t", "template": true, "config": {
                "ide2": null,
                "scsi0": "data:9000/base-9000-disk-0.raw,size=32G",
                "scsi1": "data:9000/base-9000-disk-1.raw,size=1T",
            }},
        ],
        "clone_log": "growing",
        "clone_polls": polls,
        "task_polls": 3,
        "agent": {"polls": 3},
        "faults": faults,
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

/// Hangs halfway through the first disk.
fn stuck() -> FakePve {
    slow(&json!([{"on": POLL, "nth": 3, "hang": true}]), 6)
}

fn at(fake: &FakePve) -> Homelab {
    Homelab::at(fake).env("TERM", "xterm")
}

/// `[====>   ]  37%  12.0 GiB of 32.0 GiB  disk 1 of 2  0:12`: the bar, and what follows it.
fn bar_of(text: &str) -> Option<(&str, &str)> {
    let (bar, text) = text.strip_prefix('[')?.split_once(']')?;
    Some((bar, text))
}

#[rstest]
#[case::narrow(40)]
#[case::wide(120)]
fn the_progress_line_fits_and_leaves_nothing_behind(#[case] columns: u16) {
    let fake = slow(&json!([]), 6);
    let left = Session::start(at(&fake), columns, CREATE).end();
    assert_eq!(left.screen, [CREATING]);
    assert_eq!((left.exit, left.stdout.as_str()), (Some(0), CREATED));
    assert_eq!(
        shown(&left),
        [
            "cloning",
            "of 32.0 GiB disk 1 of 2",
            "of 1.0 TiB disk 2 of 2",
            "growing scsi0 to 33G",
            "starting",
            "waiting for an address",
        ]
    );
}

/// The activities in order, without the numbers that change.
fn shown(left: &Outcome) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for frame in &left.frames {
        let text = bar_of(&frame.text).map_or(&*frame.text, |(_, text)| text);
        if text.is_empty() {
            continue;
        }
        // A narrow terminal shows no time beside a disk.
        let text = match text.trim().rsplit_once(' ') {
            Some((text, time)) if time.starts_with("0:") => text,
            _ => text,
        };
        let text = match text.split_once(" of ") {
            Some((_, rest)) => format!("of {}", rest.replace("  ", " ")),
            None => text.to_owned(),
        };
        let text = text.trim_end().to_owned();
        if shown.last() != Some(&text) {
            shown.push(text);
        }
    }
    shown
}

#[test]
fn a_wide_terminal_shows_a_bar_that_grows() {
    let fake = slow(&json!([]), 6);
    let left = Session::start(at(&fake), 120, CREATE).end();
    let mut seen = Vec::new();
    for frame in &left.frames {
        let Some((bar, text)) = bar_of(&frame.text) else {
            assert!(!frame.text.contains('%'), "no bar in {:?}", frame.text);
            continue;
        };
        assert_eq!(frame.text.len(), 119, "{:?}", frame.text);
        assert!(text.contains("  0:"), "no time: {text:?}");
        let (percent, _) = text.split_once('%').expect("a percentage");
        let percent: usize = percent.trim().parse().expect("a number");
        let is_first = text.contains("disk 1 of 2");
        let filled = bar.trim_end().trim_end_matches('>').len();
        let expected = bar.len() * percent / 100;
        assert!(filled.abs_diff(expected) <= 1, "{:?}", frame.text);
        seen.push((!is_first, percent));
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().any(|(_, percent)| (10..90).contains(percent)));
}

#[test]
fn a_narrow_terminal_shows_the_text_alone() {
    let fake = slow(&json!([]), 6);
    let left = Session::start(at(&fake), 40, CREATE).end();
    let copying: Vec<_> = left
        .frames
        .iter()
        .filter(|it| it.text.contains('%'))
        .collect();
    assert!(!copying.is_empty());
    for frame in copying {
        assert!(frame.text.contains("iB of "), "{:?}", frame.text);
        assert!(frame.text.contains(" of 2"), "{:?}", frame.text);
        assert!(!frame.text.contains('['), "{:?}", frame.text);
    }
}

#[test]
fn only_new_lines_of_the_log_of_a_clone_are_read() {
    let fake = slow(&json!([]), 6);
    Session::start(at(&fake), 120, CREATE).end();
    let journal = fake.journal();
    let (log, _) = POLL.rsplit_once('/').expect("a path");
    let starts: Vec<usize> = journal
        .iter()
        .filter_map(|line| line.strip_prefix(log)?.strip_prefix("/log?"))
        .map(|query| match query.strip_suffix("limit=0") {
            Some("") => 0,
            Some(start) => start["start=".len()..start.len() - 1]
                .parse()
                .expect("a number"),
            None => panic!("only a part is requested: {query}"),
        })
        .collect();
    assert_eq!(starts.len(), 6, "one for each poll that finds it running");
    assert_eq!(starts[0], 0);
    assert!(starts.is_sorted_by(|one, other| one < other), "{starts:?}");
}
