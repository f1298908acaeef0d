//! One test per story file of `fixtures/scenarios`: a cluster, its mishaps, what was typed, and
//! all that was seen of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rstest::rstest;
use serde::{Deserialize, Serialize};

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, StateDir};

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
    /// What earlier runs have left behind: lines for each VM name.
    #[serde(default)]
    claims: BTreeMap<String, Vec<String>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    run: Words,
    /// How often something is asked again depends on the clock: requests that repeat themselves,
    /// singly or up to five in turn, are told once.
    #[serde(default)]
    told_once: bool,
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
    let state = StateDir::new();
    leave_behind(&state, &story.claims, &fake);
    for (index, step) in story.steps.iter().enumerate() {
        let mut outcome = outcome_of(&fake, &step.run, &story.environment, &state);
        if step.told_once {
            outcome.requests = without_repeats(outcome.requests);
        }
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

fn without_repeats(requests: Vec<String>) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for request in requests {
        told.push(request);
        for length in 1..=5 {
            let Some(start) = told.len().checked_sub(2 * length) else {
                break;
            };
            if told[start..start + length] == told[start + length..] {
                told.truncate(start + length);
            }
        }
    }
    told
}

fn leave_behind(state: &StateDir, claims: &BTreeMap<String, Vec<String>>, fake: &FakePve) {
    for (name, lines) in claims {
        let text = lines.join("\n") + "\n";
        let text = text.replace("127.0.0.1:PORT", &format!("127.0.0.1:{}", fake.port()));
        fs::write(format!("{}/{name}.jsonl", state.path()), text).unwrap();
    }
}

fn outcome_of(
    fake: &FakePve,
    words: &Words,
    environment: &BTreeMap<String, Option<String>>,
    state: &StateDir,
) -> Outcome {
    let at_fake = Homelab::at(fake).in_state(state);
    let homelab = environment
        .iter()
        .fold(at_fake, |homelab, (name, value)| match value {
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
        let text = text.replace(state.path(), "STATE");
        text.lines().map(str::to_owned).collect()
    };
    Outcome {
        exit: seen.exit,
        stdout: lines(&seen.stdout),
        stderr: lines(&seen.stderr),
        requests: fake.take_journal(),
    }
}
