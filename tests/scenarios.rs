//! One test per story file of `fixtures/scenarios`: a cluster, its faults, the commands to run, and the
//! complete visible outcome of each.
//!
//! With `HOMELAB_BLESS` in the environment, which only `make bless` sets, nothing is compared: the actual
//! outcome replaces the expected outcome of each step, and the rest of the file remains unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, StateDir};

/// A story file. Its fields are in the order in which they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    /// What the steps show.
    #[serde(rename = "story")]
    title: String,
    /// The `fake_pve::Setup` of the fake server.
    server: Option<Box<RawValue>>,
    /// The `Environment`.
    environment: Option<Box<RawValue>>,
    /// What earlier runs have recorded: the `Ledger`.
    ledger: Option<Box<RawValue>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The `Arguments`.
    run: Box<RawValue>,
    /// Requests that repeat, alone or as a sequence of up to five, are listed once: how often the
    /// program polls depends on the clock.
    #[serde(default)]
    without_repeats: bool,
    #[serde(flatten)]
    expected: Outcome,
}

/// Variables in addition to those needed to reach the server; `null` removes one.
type Environment = BTreeMap<String, Option<String>>;

/// The lines of the file of each VM name.
type Ledger = BTreeMap<String, Vec<String>>;

/// The arguments of `homelab`; a list if an argument contains a space or is empty.
#[derive(Deserialize)]
#[serde(untagged)]
enum Arguments {
    Line(String),
    List(Vec<String>),
}

/// Everything that the user sees, and everything that the server received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Outcome {
    exit: Option<i32>,
    #[serde(default)]
    stdout: Vec<String>,
    #[serde(default)]
    stderr: Vec<String>,
    #[serde(default)]
    requests: Vec<String>,
}

#[rstest]
fn the_outcome_is_the_one_that_the_story_expects(
    #[files("fixtures/scenarios/*.json")] file: PathBuf,
) {
    let mut story = Story::read(&file);
    let bless = std::env::var_os("HOMELAB_BLESS").is_some();
    let fake = FakePve::start(optional(story.server.as_deref(), "server"));
    let state = StateDir::new();
    let environment: Environment = optional(story.environment.as_deref(), "environment");
    write_ledger(&state, &optional(story.ledger.as_deref(), "ledger"), &fake);
    for (step, number) in story.steps.iter_mut().zip(1..) {
        let arguments = part(&step.run, "run");
        let mut outcome = outcome_of(&fake, &arguments, &environment, &state);
        if step.without_repeats {
            outcome.requests = without_repeats(outcome.requests);
        }
        if bless {
            step.bless(outcome, number);
        } else {
            step.compare(&outcome, number);
        }
    }
    if bless {
        fs::write(&file, story.text()).unwrap();
    }
}

#[test]
fn a_story_whose_outcome_did_not_change_is_written_unchanged() {
    let stories = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios"));
    for entry in stories.unwrap() {
        let file = entry.unwrap().path();
        assert!(
            Story::read(&file).text() == fs::read_to_string(&file).unwrap(),
            "{} is not in the form that 'make bless' writes",
            file.display()
        );
    }
}

#[test]
fn bless_replaces_the_expected_outcome_and_nothing_else() {
    let before = r#"{
  "story": "the 'ä' in \"a title\"",
  "server": {"guests":   [ ],
    "clone_polls": 2},
  "ledger": {"web-1": ["{}"]},
  "steps": [
    {
      "run": ["proxmox",  "vm list"],
      "without_repeats": true,
      "exit": 1,
      "stdout": ["one"],
      "stderr": ["two"],
      "requests": ["GET /three"]
    },
    {
      "run": "--version",
      "exit": 0
    }
  ]
}
"#;
    let after = r#"{
  "story": "the 'ä' in \"a title\"",
  "server": {"guests":   [ ],
    "clone_polls": 2},
  "ledger": {"web-1": ["{}"]},
  "steps": [
    {
      "run": ["proxmox",  "vm list"],
      "without_repeats": true,
      "exit": 0,
      "stdout": ["\"four\"", "five"],
      "requests": [
        "GET /a/request/that/takes/a/whole/line/of/its/own/because/it/is/so/long",
        "GET /six"
      ]
    },
    {
      "run": "--version",
      "exit": 0
    }
  ]
}
"#;
    let mut story: Story = serde_json::from_str(before).unwrap();
    let seen = Outcome {
        exit: Some(0),
        stdout: vec!["\"four\"".into(), "five".into()],
        stderr: vec![],
        requests: vec![
            "GET /a/request/that/takes/a/whole/line/of/its/own/because/it/is/so/long".into(),
            "GET /six".into(),
        ],
    };
    story.steps[0].bless(seen, 1);
    assert_eq!(story.text(), after);
}

#[test]
#[should_panic(expected = "step 1 crashed, which no story may expect")]
fn bless_does_not_accept_a_crash() {
    let story = r#"{"story": "", "steps": [{"run": "--version", "exit": 0}]}"#;
    let mut story: Story = serde_json::from_str(story).unwrap();
    let panicked = Outcome {
        exit: Some(101),
        ..story.steps[0].expected.clone()
    };
    story.steps[0].bless(panicked, 1);
}

impl Story {
    fn read(file: &Path) -> Story {
        let text = fs::read_to_string(file).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    fn text(&self) -> String {
        let raw = |value: &Option<Box<RawValue>>| value.as_ref().map(|raw| raw.get().to_owned());
        let steps: Vec<String> = self.steps.iter().map(Step::text).collect();
        let members = [
            ("story", Some(json(&self.title))),
            ("server", raw(&self.server)),
            ("environment", raw(&self.environment)),
            ("ledger", raw(&self.ledger)),
            (
                "steps",
                Some(format!("[\n    {}\n  ]", steps.join(",\n    "))),
            ),
        ];
        object(&members, "") + "\n"
    }
}

impl Step {
    fn compare(&self, seen: &Outcome, number: usize) {
        let json = |outcome: &Outcome| serde_json::to_string_pretty(outcome).unwrap();
        assert!(
            *seen == self.expected,
            "step {number} differs\n--- expected\n{}\n--- seen\n{}\n\
             'make bless' writes the actual outcomes into all stories",
            json(&self.expected),
            json(seen),
        );
    }

    fn bless(&mut self, seen: Outcome, number: usize) {
        assert!(
            matches!(seen.exit, Some(0..=2)),
            "step {number} crashed, which no story may expect: {seen:#?}"
        );
        self.expected = seen;
    }

    fn text(&self) -> String {
        let Outcome {
            exit,
            stdout,
            stderr,
            requests,
        } = &self.expected;
        let members = [
            ("run", Some(self.run.get().to_owned())),
            (
                "without_repeats",
                self.without_repeats.then(|| "true".to_owned()),
            ),
            ("exit", Some(json(exit))),
            ("stdout", lines("stdout", stdout)),
            ("stderr", lines("stderr", stderr)),
            ("requests", lines("requests", requests)),
        ];
        object(&members, "    ")
    }
}

/// Reads a part of a story that is kept as text.
fn part<T: DeserializeOwned>(raw: &RawValue, name: &str) -> T {
    serde_json::from_str(raw.get()).unwrap_or_else(|error| panic!("'{name}': {error}"))
}

fn optional<T: DeserializeOwned + Default>(raw: Option<&RawValue>, name: &str) -> T {
    raw.map_or_else(T::default, |raw| part(raw, name))
}

/// An object with one line for each member that has a value.
fn object(members: &[(&str, Option<String>)], indent: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .filter_map(|(name, value)| Some(format!("{indent}  \"{name}\": {}", value.as_ref()?)))
        .collect();
    format!("{{\n{}\n{indent}}}", members.join(",\n"))
}

/// The list `name` of a step: on one line if it fits, otherwise one line for each text.
fn lines(name: &str, texts: &[String]) -> Option<String> {
    const WIDTH: usize = 100;
    let texts: Vec<String> = texts.iter().map(json).collect();
    let on_one_line = format!("[{}]", texts.join(", "));
    let fits = format!("      \"{name}\": {on_one_line}").chars().count() <= WIDTH;
    match texts.as_slice() {
        [] => None,
        _ if fits => Some(on_one_line),
        texts => Some(format!("[\n        {}\n      ]", texts.join(",\n        "))),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn without_repeats(requests: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for request in requests {
        kept.push(request);
        for length in 1..=5 {
            let Some(start) = kept.len().checked_sub(2 * length) else {
                break;
            };
            if kept[start..start + length] == kept[start + length..] {
                kept.truncate(start + length);
            }
        }
    }
    kept
}

fn write_ledger(state: &StateDir, ledger: &Ledger, fake: &FakePve) {
    for (name, lines) in ledger {
        let text = lines.join("\n") + "\n";
        let text = text.replace("127.0.0.1:PORT", &format!("127.0.0.1:{}", fake.port()));
        fs::write(format!("{}/{name}.jsonl", state.path()), text).unwrap();
    }
}

fn outcome_of(
    fake: &FakePve,
    arguments: &Arguments,
    environment: &Environment,
    state: &StateDir,
) -> Outcome {
    let at_fake = Homelab::at(fake).in_state(state);
    let homelab = environment
        .iter()
        .fold(at_fake, |homelab, (name, value)| match value {
            Some(value) => homelab.env(name, value),
            None => homelab.without(name),
        });
    let seen = match arguments {
        Arguments::Line(line) => homelab.run(line),
        Arguments::List(list) => homelab.run_arguments(list),
    };
    let address = format!("127.0.0.1:{}", fake.port());
    let lines = |text: &str| {
        let text = text.replace(&address, "127.0.0.1:PORT");
        let text = text.replace(state.path(), "STATE");
        text.lines().map(str::to_owned).collect()
    };
    Outcome {
        exit: seen.exit,
        stdout: lines(&seen.stdout),
        stderr: lines(&seen.stderr),
        requests: fake.take_journal().into_iter().map(without_uuid).collect(),
    }
}

/// A request without the random UUID that it gives a new VM.
fn without_uuid(request: String) -> String {
    const BEGIN: &str = "smbios1=uuid=";
    const LENGTH: usize = "00000000-0000-0000-0000-000000000000".len();
    let Some(at) = request.find(BEGIN).map(|at| at + BEGIN.len()) else {
        return request;
    };
    let (before, after) = (&request[..at], &request[at + LENGTH..]);
    format!("{before}UUID{after}")
}
