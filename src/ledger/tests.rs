//! Locking, and what the next run reads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rstest::rstest;

use super::*;

const UPID: &str = "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:";

/// A state directory for one test, removed afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("homelab-ledger-{}-{number}", std::process::id());
        Directory(std::env::temp_dir().join(name).join("state"))
    }

    fn file(&self) -> PathBuf {
        self.0.join("web-1.jsonl")
    }

    fn lock(&self) -> Ledger {
        match Ledger::lock(&self.0, &name()).unwrap() {
            Lock::Ours(ledger, written) => {
                written.unwrap();
                ledger
            }
            Lock::HeldBy(process) => panic!("process {process:?} has it"),
        }
    }

    fn record(&self) -> Record {
        self.lock().record().clone()
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

/// A full clone of template 9000 with no further options.
pub fn intent(vmid: u32) -> Intent {
    Intent {
        vmid: Vmid(vmid),
        node: Node("pve1".into()),
        source: Source::Template(ClonedFrom {
            template: Vmid(9000),
            template_name: None,
            mode: Mode::Full,
            pool: None,
        }),
        storage: None,
        target: None,
        hosts: vec!["pve.lan:8006".into()],
        growth: BTreeMap::new(),
    }
}

fn note(vmid: u32) -> Note {
    Note {
        vmid: Vmid(vmid),
        hosts: vec!["pve.lan:8006".into()],
        sizes: BTreeMap::new(),
        set: BTreeSet::from(["cipassword".into()]),
        hashes: BTreeMap::from([("cipassword".into(), "salt:hash".into())]),
    }
}

/// `i` an intent, `u` a UPID, `c` created, `f` failed, `F` finished, `n` a note.
fn write(ledger: &mut Ledger, story: &str) {
    for letter in story.chars() {
        let event = match letter {
            'i' => Event::Intent(intent(101)),
            'u' => Event::Upid(UPID.parse().unwrap()),
            'c' => Event::Created(Vmid(101)),
            'f' => Event::Failed(Vmid(101)),
            'n' => Event::Note(note(101)),
            'o' => Event::Note(note(102)),
            _ => Event::Finished(Vmid(101)),
        };
        ledger.write(event).unwrap();
    }
}

fn started() -> Record {
    Record::Requested(intent(101), Some(UPID.parse().unwrap()))
}

#[rstest]
#[case::nothing("", Record::None)]
#[case::requested("i", Record::Requested(intent(101), None))]
#[case::started("iu", started())]
#[case::started_again("iuu", started())]
#[case::another_was_requested("ifi", Record::Requested(intent(101), None))]
#[case::failed("iuf", Record::None)]
#[case::created("iuc", Record::Created(intent(101)))]
#[case::created_without_a_task("ic", Record::Created(intent(101)))]
#[case::finished("iucF", Record::Finished(intent(101)))]
#[case::destroyed_afterwards("iucFf", Record::None)]
#[case::created_again("iucFi", Record::Requested(intent(101), None))]
fn the_next_run_reads_what_was_written(#[case] story: &str, #[case] expected: Record) {
    let directory = Directory::new();
    write(&mut directory.lock(), story);
    assert_eq!(directory.record(), expected);
    // Runs that record nothing do not change it.
    assert_eq!(directory.record(), expected);
}

/// Stories as above; `o` is a note about another VM, which may have the same name.
#[rstest]
#[case::of_an_existing_vm("n", true, Record::None)]
#[case::before_the_clone("in", true, Record::Requested(intent(101), None))]
#[case::before_it_is_finished("iuncF", true, Record::Finished(intent(101)))]
#[case::after_it_is_finished("iucFn", true, Record::Finished(intent(101)))]
#[case::among_other_notes("iucFno", true, Record::Finished(intent(101)))]
#[case::of_another_vm("iuo", false, started())]
#[case::created_again("iucFnfi", false, Record::Requested(intent(101), None))]
#[case::created_again_without_an_event("ni", false, Record::Requested(intent(101), None))]
#[case::destroyed("iucFnf", false, Record::None)]
fn a_note_is_kept_as_long_as_its_vm(
    #[case] story: &str,
    #[case] is_known: bool,
    #[case] record: Record,
) {
    let directory = Directory::new();
    let mut ledger = directory.lock();
    write(&mut ledger, story);
    let expected = is_known.then(|| note(101));
    let known = |ledger: &Ledger| ledger.note_of(Vmid(101)).cloned();
    assert_eq!(known(&ledger), expected);
    drop(ledger);
    let next = directory.lock();
    assert_eq!((known(&next), next.record()), (expected, &record));
}

#[test]
fn the_lock_is_held_until_the_ledger_is_dropped() {
    let directory = Directory::new();
    let ledger = directory.lock();
    let Lock::HeldBy(process) = Ledger::lock(&directory.0, &name()).unwrap() else {
        panic!("two runs have the same lock");
    };
    assert_eq!(process, Some(std::process::id()));
    drop(ledger);
    directory.lock();
}

#[test]
fn other_names_are_not_locked() {
    let directory = Directory::new();
    let _ledger = directory.lock();
    let other = Ledger::lock(&directory.0, &"web-2".parse().unwrap()).unwrap();
    assert!(matches!(other, Lock::Ours(..)));
}

#[test]
fn a_last_line_that_is_cut_anywhere_is_ignored() {
    let directory = Directory::new();
    write(&mut directory.lock(), "iuf");
    write(&mut directory.lock(), "iu");
    let whole = fs::read(directory.file()).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n');
    for cut in last.unwrap() + 1..whole.len() {
        fs::write(directory.file(), &whole[..cut]).unwrap();
        let mut ledger = directory.lock();
        let expected = Record::Requested(intent(101), None);
        assert_eq!(ledger.record(), &expected, "cut at byte {cut}");
        // The next event is not appended to the cut line.
        write(&mut ledger, "c");
        drop(ledger);
        let expected = Record::Created(intent(101));
        assert_eq!(directory.record(), expected, "cut at byte {cut}");
    }
}

/// The kernel refuses to write to this file, as if the disk were full.
#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let directory = Directory::new();
    write(&mut directory.lock(), "iu");
    let mut ledger = directory.lock();
    ledger.file = Some((File::open("/dev/full").unwrap(), directory.file()));
    assert!(ledger.write(Event::Created(Vmid(101))).is_err());
    let whole = OpenOptions::new().append(true).open(directory.file());
    ledger.file = Some((whole.unwrap(), directory.file()));
    write(&mut ledger, "F");
    assert_eq!(ledger.record(), &Record::Finished(intent(101)));
    drop(ledger);
    assert_eq!(directory.record(), started());
}

#[test]
fn runs_that_do_nothing_leave_no_entry() {
    let directory = Directory::new();
    write(&mut directory.lock(), "iucF");
    let length = || {
        drop(directory.lock());
        fs::metadata(directory.file()).unwrap().len()
    };
    assert_eq!(length(), length());
}

#[rstest]
#[case::no_json("what?\n", "line 1 is not an event that this version knows")]
#[case::unknown_record("{\"tomorrow\":1}\n", "line 1 is not an event that this version knows")]
#[case::unknown_field(
    "{\"run\":{\"process\":1,\"time\":1,\"more\":1}}\n",
    "line 1 is not an event that this version knows"
)]
#[case::zeros("\0\0\0\n", "line 1 is not an event that this version knows")]
#[case::out_of_order("{\"finished\":101}\n", "line 1 is out of order")]
#[case::after_good_lines(
    "{\"run\":{\"process\":1,\"time\":1}}\n{}\n",
    "line 2 is not an event that this version knows"
)]
fn a_damaged_file_is_an_error_and_stays_unchanged(#[case] text: &str, #[case] why: &str) {
    let directory = Directory::new();
    drop(directory.lock());
    fs::write(directory.file(), text).unwrap();
    let Err(Error::Damaged { path, source }) = Ledger::lock(&directory.0, &name()) else {
        panic!("{text} is taken for good");
    };
    assert_eq!(
        (path, source.to_string()),
        (directory.file(), why.to_owned())
    );
    assert_eq!(fs::read_to_string(directory.file()).unwrap(), text);
}

#[test]
fn other_users_cannot_read_it() {
    let directory = Directory::new();
    let _ledger = directory.lock();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = (mode(&directory.0), mode(&directory.file()));
    assert_eq!(modes, (0o700, 0o600));
}

#[test]
fn the_error_names_a_directory_that_cannot_be_created() {
    let Err(error) = Ledger::lock(Path::new("/dev/null/state"), &name()) else {
        panic!("there is no such directory");
    };
    assert_eq!(error.to_string(), "cannot use /dev/null/state");
}

#[rstest]
#[case::nothing_was_requested("", false)]
#[case::the_clone_failed("iuf", false)]
#[case::the_vm_was_destroyed("iucFf", false)]
#[case::requested("i", true)]
#[case::finished("iucF", true)]
#[case::note_about_an_existing_vm("n", true)]
fn a_file_without_information_is_removed(#[case] story: &str, #[case] stays: bool) {
    let directory = Directory::new();
    write(&mut directory.lock(), story);
    assert_eq!(directory.file().exists(), stays);
}

#[test]
fn a_record_of_another_cluster_is_kept() {
    let directory = Directory::new();
    write(&mut directory.lock(), "iucF");
    let mut ledger = directory.lock();
    ledger.set_aside();
    assert_eq!(ledger.record(), &Record::None);
    drop(ledger);
    assert_eq!(directory.record(), Record::Finished(intent(101)));
}

/// A run opens the file, the run that has locked it removes it and ends, and the first run gets the lock of a
/// removed file.
#[test]
fn the_lock_of_a_removed_file_does_not_count() {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    for _ in 0..2000 {
        let path = directory.file();
        let other = std::thread::spawn(move || {
            let (file, is_locked) = open(&path).unwrap();
            if is_locked {
                fs::remove_file(&path).unwrap();
            }
            drop(file);
        });
        let (file, is_locked) = open(&directory.file()).unwrap();
        if is_locked {
            let current = fs::metadata(directory.file()).unwrap().ino();
            assert_eq!(file.metadata().unwrap().ino(), current);
        }
        drop(file);
        other.join().unwrap();
    }
}

#[test]
fn the_next_run_reads_the_resolved_size() {
    let directory = Directory::new();
    let mut requested = intent(101);
    let (by, to) = (Size(8 << 30), Size(10 << 30));
    requested.growth.insert("scsi0".into(), Growth { by, to });
    directory
        .lock()
        .write(Event::Intent(requested.clone()))
        .unwrap();
    assert_eq!(directory.record(), Record::Requested(requested, None));
}

#[test]
fn the_next_run_reads_what_was_imported() {
    let directory = Directory::new();
    let imported = Intent {
        source: Source::Image(Box::new(ImportedFrom {
            volume: "local:import/x-932f4a24.qcow2".parse().unwrap(),
            url: Some("https://example.com/x.img".into()),
            disks: Storage("data".into()),
            uuid: "1d19811d-5f94-4a62-982d-54a41276f909".into(),
        })),
        storage: Some(Storage("data".into())),
        ..intent(101)
    };
    directory
        .lock()
        .write(Event::Intent(imported.clone()))
        .unwrap();
    let file = fs::read_to_string(directory.file()).unwrap();
    assert_eq!(
        file.lines().last().unwrap(),
        r#"{"intent":{"vmid":101,"node":"pve1","volume":"local:import/x-932f4a24.qcow2","url":"https://example.com/x.img","disks":"data","uuid":"1d19811d-5f94-4a62-982d-54a41276f909","storage":"data","hosts":["pve.lan:8006"]}}"#
    );
    assert_eq!(directory.record(), Record::Requested(imported, None));
}

#[rstest]
#[case::an_unknown_field(
    r#"{"intent":{"vmid":101,"node":"pve1","template":9000,"mode":"full","hosts":[],"new":1}}"#
)]
#[case::neither_template_nor_image(r#"{"intent":{"vmid":101,"node":"pve1","hosts":[]}}"#)]
#[case::both(r#"{"intent":{"vmid":101,"node":"pve1","template":9000,"mode":"full","volume":"local:import/x.qcow2","disks":"data","uuid":"","hosts":[]}}"#)]
fn an_intent_of_a_later_version_is_not_misread(#[case] line: &str) {
    let directory = Directory::new();
    fs::create_dir_all(&directory.0).unwrap();
    fs::write(directory.file(), format!("{line}\n")).unwrap();
    let error = Ledger::lock(&directory.0, &"web-1".parse().unwrap()).err();
    let error = error.map(|error| crate::say::failure::chain(&error));
    let path = directory.file();
    let expected = format!(
        "{} is damaged: line 1 is not an event that this version knows",
        path.display()
    );
    assert_eq!(error, Some(expected));
}

/// The last release wrote the sizes of the template's disks as a note after the intent.
#[test]
fn a_file_of_the_last_release_is_read() {
    let directory = Directory::new();
    let lines = [
        r#"{"run":{"process":4711,"time":1795420071}}"#,
        r#"{"intent":{"vmid":101,"node":"pve1","template":9000,"mode":"full","hosts":["pve.lan:8006"]}}"#,
        r#"{"note":{"vmid":101,"hosts":["pve.lan:8006"],"sizes":{"scsi0":"2G"}}}"#,
        r#"{"upid":"UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:"}"#,
        r#"{"created":101}"#,
        r#"{"note":{"vmid":101,"hosts":["pve.lan:8006"],"sizes":{"scsi0":"2G"},"set":["cipassword"]}}"#,
        r#"{"finished":101}"#,
    ];
    fs::create_dir_all(&directory.0).unwrap();
    fs::write(directory.file(), lines.join("\n") + "\n").unwrap();
    let mut expected = intent(101);
    let (by, to) = (Size(0), Size(2 << 30));
    expected.growth.insert("scsi0".into(), Growth { by, to });
    let ledger = directory.lock();
    let set = ledger.note_of(Vmid(101)).map(|note| note.set.len());
    let seen = (ledger.record().clone(), set);
    assert_eq!(seen, (Record::Finished(expected), Some(1)));
}
