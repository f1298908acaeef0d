//! One test per story file of `fixtures/scenarios`: a cluster, its mishaps, what was typed, and
//! all that was seen of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rstest::rstest;
use serde::{Deserialize, Serialize};

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::Homelab;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    /// Why the story is told.
    #[serde(rename = "story")]
    _why: String,
    #[serde(default)]
    server: Setup,
    /// On top of what it takes to reach the server; `null` takes a name away.
    #[serde(default)]
    environment: BTreeMap<String, Option<String>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    run: Words,
    #[serde(flatten)]
    expected: Outcome,
}

/// What was typed behind `homelab`; a list where a word holds a space or nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Line(String),
    List(Vec<String>),
}

/// All that somebody sees, and all that the server got.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
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
fn the_story_goes(#[files("fixtures/scenarios/*.json")] file: PathBuf) {
    let text = fs::read_to_string(&file).unwrap();
    let story: Story =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let fake = FakePve::start(story.server);
    for (index, step) in story.steps.iter().enumerate() {
        let outcome = outcome_of(&fake, &step.run, &story.environment);
        let json = |outcome: &Outcome| serde_json::to_string_pretty(outcome).unwrap();
        assert!(
            outcome == step.expected,
            "step {} went otherwise\n--- expected\n{}\n--- seen\n{}",
            index + 1,
            json(&step.expected),
            json(&outcome),
        );
    }
}

fn outcome_of(
    fake: &FakePve,
    words: &Words,
    environment: &BTreeMap<String, Option<String>>,
) -> Outcome {
    let homelab =
        environment
            .iter()
            .fold(Homelab::at(fake), |homelab, (name, value)| match value {
                Some(value) => homelab.env(name, value),
                None => homelab.without(name),
            });
    let seen = match words {
        Words::Line(line) => homelab.run(line),
        Words::List(list) => homelab.run_words(list),
    };
    let address = format!("127.0.0.1:{}", fake.port());
    let lines = |text: &str| {
        let text = text.replace(&address, "127.0.0.1:PORT");
        text.lines().map(str::to_owned).collect()
    };
    Outcome {
        exit: seen.exit,
        stdout: lines(&seen.stdout),
        stderr: lines(&seen.stderr),
        requests: fake.take_journal(),
    }
}
