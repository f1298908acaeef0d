//! Who has a claim, and what the next one finds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rstest::rstest;

use super::*;

const UPID: &str = "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:";

/// A state directory of its own, gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("homelab-claims-{}-{number}", std::process::id());
        Directory(std::env::temp_dir().join(name).join("state"))
    }

    fn file(&self) -> PathBuf {
        self.0.join("web-1.jsonl")
    }

    fn take(&self) -> Claim {
        match Claim::take(&self.0, &name()).unwrap() {
            Taken::Ours(claim, written) => {
                written.unwrap();
                claim
            }
            Taken::HeldBy(process) => panic!("process {process:?} has it"),
        }
    }

    fn left_behind(&self) -> LeftBehind {
        self.take().left_behind().clone()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn name() -> VmName {
    "web-1".parse().unwrap()
}

fn intent(vmid: u32) -> Intent {
    Intent {
        vmid: Vmid(vmid),
        node: Node("pve1".into()),
        template: Vmid(9000),
        mode: Mode::Full,
        storage: None,
        pool: None,
        target: None,
        hosts: vec!["pve.lan:8006".into()],
    }
}

fn note(vmid: u32) -> Note {
    Note {
        vmid: Vmid(vmid),
        hosts: vec!["pve.lan:8006".into()],
        sizes: BTreeMap::from([("scsi0".into(), Size(2 << 30))]),
        set: BTreeSet::from(["cipassword".into()]),
    }
}

/// `i` an intent, `u` a UPID, `c` created, `f` failed, `F` finished, `n` a note.
fn write(claim: &mut Claim, story: &str) {
    for letter in story.chars() {
        match letter {
            'i' => claim.intend(&intent(101)),
            'u' => claim.begun(&UPID.parse().unwrap()),
            'c' => claim.created(Vmid(101)),
            'f' => claim.failed(Vmid(101)),
            'n' => claim.note(note(101)),
            'o' => claim.note(note(102)),
            _ => claim.finished(Vmid(101)),
        }
        .unwrap();
    }
}

fn begun() -> LeftBehind {
    LeftBehind::Open(intent(101), Some(UPID.parse().unwrap()))
}

#[rstest]
#[case::nothing("", LeftBehind::Nothing)]
#[case::asked("i", LeftBehind::Open(intent(101), None))]
#[case::begun("iu", begun())]
#[case::begun_again("iuu", begun())]
#[case::asked_for_another("ifi", LeftBehind::Open(intent(101), None))]
#[case::failed("iuf", LeftBehind::Nothing)]
#[case::created("iuc", LeftBehind::Created(intent(101)))]
#[case::seen_without_a_task("ic", LeftBehind::Created(intent(101)))]
#[case::finished("iucF", LeftBehind::Finished(intent(101)))]
#[case::gone_afterwards("iucFf", LeftBehind::Nothing)]
#[case::made_anew("iucFi", LeftBehind::Open(intent(101), None))]
fn the_next_run_finds_what_was_written(#[case] story: &str, #[case] expected: LeftBehind) {
    let directory = Directory::new();
    write(&mut directory.take(), story);
    assert_eq!(directory.left_behind(), expected);
    // Runs that only look change nothing.
    assert_eq!(directory.left_behind(), expected);
}

/// `o` a note about another VM, which may be the one of that name too.
#[rstest]
#[case::of_one_that_was_found("n", true, LeftBehind::Nothing)]
#[case::before_the_clone("in", true, LeftBehind::Open(intent(101), None))]
#[case::before_it_is_finished("iuncF", true, LeftBehind::Finished(intent(101)))]
#[case::afterwards("iucFn", true, LeftBehind::Finished(intent(101)))]
#[case::among_others("iucFno", true, LeftBehind::Finished(intent(101)))]
#[case::of_another_one("iuo", false, begun())]
#[case::made_anew("iucFnfi", false, LeftBehind::Open(intent(101), None))]
#[case::made_anew_without_a_word("ni", false, LeftBehind::Open(intent(101), None))]
#[case::gone("iucFnf", false, LeftBehind::Nothing)]
fn a_note_is_kept_as_long_as_its_vm(
    #[case] story: &str,
    #[case] is_known: bool,
    #[case] left_behind: LeftBehind,
) {
    let directory = Directory::new();
    let mut claim = directory.take();
    write(&mut claim, story);
    let expected = is_known.then(|| note(101));
    let known = |claim: &Claim| claim.note_of(Vmid(101)).cloned();
    assert_eq!(known(&claim), expected);
    drop(claim);
    let next = directory.take();
    assert_eq!((known(&next), next.left_behind()), (expected, &left_behind));
}

#[test]
fn a_claim_is_held_until_it_is_dropped() {
    let directory = Directory::new();
    let claim = directory.take();
    let Taken::HeldBy(process) = Claim::take(&directory.0, &name()).unwrap() else {
        panic!("two have the same claim");
    };
    assert_eq!(process, Some(std::process::id()));
    drop(claim);
    directory.take();
}

#[test]
fn other_names_are_not_held() {
    let directory = Directory::new();
    let _claim = directory.take();
    let other = Claim::take(&directory.0, &"web-2".parse().unwrap()).unwrap();
    assert!(matches!(other, Taken::Ours(..)));
}

#[test]
fn the_last_line_may_be_cut_anywhere() {
    let directory = Directory::new();
    write(&mut directory.take(), "iuf");
    write(&mut directory.take(), "iu");
    let whole = fs::read(directory.file()).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n');
    for cut in last.unwrap() + 1..whole.len() {
        fs::write(directory.file(), &whole[..cut]).unwrap();
        let mut claim = directory.take();
        let expected = LeftBehind::Open(intent(101), None);
        assert_eq!(claim.left_behind(), &expected, "cut at byte {cut}");
        // What comes after it is not lost in the cut line.
        write(&mut claim, "c");
        drop(claim);
        let expected = LeftBehind::Created(intent(101));
        assert_eq!(directory.left_behind(), expected, "cut at byte {cut}");
    }
}

/// The kernel refuses to write to this one, as to a full disk.
#[test]
fn what_cannot_be_written_is_kept_in_mind_and_nothing_is_written_after_it() {
    let directory = Directory::new();
    write(&mut directory.take(), "iu");
    let mut claim = directory.take();
    claim.file = Some(File::open("/dev/full").unwrap());
    assert!(claim.created(Vmid(101)).is_err());
    claim.file = Some(
        OpenOptions::new()
            .append(true)
            .open(directory.file())
            .unwrap(),
    );
    write(&mut claim, "F");
    assert_eq!(claim.left_behind(), &LeftBehind::Finished(intent(101)));
    drop(claim);
    assert_eq!(directory.left_behind(), begun());
}

#[test]
fn runs_that_find_nothing_to_do_leave_nothing() {
    let directory = Directory::new();
    write(&mut directory.take(), "iucF");
    let length = || {
        drop(directory.take());
        fs::metadata(directory.file()).unwrap().len()
    };
    assert_eq!(length(), length());
}

#[rstest]
#[case::no_json("what?\n", "line 1 is not what this version writes")]
#[case::unknown_record("{\"tomorrow\":1}\n", "line 1 is not what this version writes")]
#[case::unknown_field(
    "{\"run\":{\"process\":1,\"time\":1,\"more\":1}}\n",
    "line 1 is not what this version writes"
)]
#[case::zeros("\0\0\0\n", "line 1 is not what this version writes")]
#[case::out_of_order("{\"finished\":101}\n", "line 1 cannot follow on those before")]
#[case::behind_good_ones(
    "{\"run\":{\"process\":1,\"time\":1}}\n{}\n",
    "line 2 is not what this version writes"
)]
fn a_damaged_file_is_an_error_and_left_as_it_is(#[case] text: &str, #[case] why: &str) {
    let directory = Directory::new();
    drop(directory.take());
    fs::write(directory.file(), text).unwrap();
    let Err(Error::Damaged { path, source }) = Claim::take(&directory.0, &name()) else {
        panic!("{text} is taken for good");
    };
    assert_eq!(
        (path, source.to_string()),
        (directory.file(), why.to_owned())
    );
    assert_eq!(fs::read_to_string(directory.file()).unwrap(), text);
}

#[test]
fn nobody_else_can_read_it() {
    let directory = Directory::new();
    drop(directory.take());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = (mode(&directory.0), mode(&directory.file()));
    assert_eq!(modes, (0o700, 0o600));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let Err(error) = Claim::take(Path::new("/dev/null/state"), &name()) else {
        panic!("there is no such directory");
    };
    assert_eq!(error.to_string(), "cannot use /dev/null/state");
}
