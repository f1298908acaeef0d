//! Ctrl-C while the bar is shown.

use rstest::rstest;

use super::session::Session;
use super::{CREATE, CREATING, at, stuck};

const CTRL_C: u8 = 3;

#[rstest]
#[case::narrow(40)]
#[case::wide(120)]
fn ctrl_c_leaves_only_plain_lines(#[case] columns: u16) {
    let fake = stuck();
    let mut session = Session::start(at(&fake), columns, CREATE);
    session.until(&["disk 1 of 2"]);
    session.press(CTRL_C);
    let left = session.end();
    let message = "Failed to create VM: interrupted; the clone to VM 101 'a' on node 'pve1' is \
                   still running";
    let hint = "Hint: run the same command with --ensure to resume; to wait only: homelab \
                proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:'; \
                to cancel the clone: homelab proxmox task cancel \
                'UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:'";
    assert_eq!(left.screen, [CREATING, message, hint]);
    assert_eq!((left.exit, left.stdout.as_str()), (Some(130), ""));
    // The terminal wraps long lines again, as before.
    assert!(left.raw.rfind("\x1b[?7h") > left.raw.rfind("\x1b[?7l"));
}
