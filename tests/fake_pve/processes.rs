//! Workers and their tasks, whatever they do: UPID, status and list entry.

use serde_json::{Value, json};

/// When every fake starts, in seconds since 1970.
pub(super) const START: u64 = 0x6B00_0000;

/// The parts of a UPID. They do not depend on the time: the first one of every fake is the same.
pub(crate) struct Process {
    pub(crate) node: String,
    /// `qmclone`, `qmstart`, `qmdestroy`.
    pub(crate) kind: &'static str,
    /// The VMID of the template that is cloned, or of the VM that is changed; the name of the file that is
    /// downloaded.
    pub(crate) id: String,
    /// The token that started it, or `root@pam`.
    pub(crate) owner: String,
    /// The number of workers so far, including this one.
    pub(super) number: usize,
}

impl Process {
    pub(super) fn starttime(&self) -> u64 {
        START + self.number as u64
    }

    fn pstart(&self) -> usize {
        self.number * 10
    }

    pub(super) fn upid(&self) -> String {
        let (pid, pstart, starttime) = (self.number, self.pstart(), self.starttime());
        let Self {
            node,
            kind,
            id,
            owner,
            ..
        } = self;
        format!("UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{id}:{owner}:")
    }
}

/// `UPID:node:pid:pstart:starttime:type:id:user:`; the id may be empty.
pub(super) fn is_upid(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["UPID", node, pid, pstart, starttime, kind, id, user, ""] = parts[..] else {
        return false;
    };
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_node = !node.is_empty() && node.chars().all(inner) && node.trim_matches('-') == node;
    let has_blank = |text: &str| text.contains(char::is_whitespace);
    is_node
        && [pid, starttime].iter().all(|part| part.len() == 8)
        && (8..=9).contains(&pstart.len())
        && [pid, pstart, starttime].into_iter().all(is_hex)
        && ![kind, user].contains(&"")
        && ![kind, id, user].into_iter().any(has_blank)
}

/// A task as the server reports it.
pub(super) struct Shown<'a> {
    pub(super) process: &'a Process,
    pub(super) log: &'a [String],
    /// The exit status of a stopped task.
    pub(super) exit: Option<&'a str>,
}

impl Shown<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.exit.is_some()
    }

    pub(super) fn status(&self) -> Value {
        let mut status = self.who_and_when();
        status["status"] = json!("running");
        self.add_user_and_token(&mut status);
        if let Some(exit) = self.exit {
            status["status"] = json!("stopped");
            status["exitstatus"] = json!(exit);
        }
        status
    }

    /// Its entry in the list of the node, where a running one has the whole token as its user.
    pub(super) fn entry(&self) -> Value {
        let mut entry = self.who_and_when();
        if let Some(exit) = self.exit {
            self.add_user_and_token(&mut entry);
            entry["endtime"] = json!(self.process.starttime() + 1);
            entry["status"] = json!(exit);
        } else {
            entry["user"] = json!(self.process.owner);
            entry["saved"] = json!("0");
            entry["status"] = json!("RUNNING");
        }
        entry
    }

    /// The lines from `start` on, at most `limit` of them; 0 is no limit.
    pub(super) fn log_lines(&self, start: usize, limit: usize) -> Vec<Value> {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let numbered = self.log.iter().enumerate().skip(start).take(limit);
        numbered
            .map(|(index, text)| json!({"n": index + 1, "t": text}))
            .collect()
    }

    /// A task of the server itself has no token.
    fn add_user_and_token(&self, object: &mut Value) {
        let owner = &self.process.owner;
        let (user, token) = owner
            .split_once('!')
            .map_or((&**owner, None), |(user, token)| (user, Some(token)));
        object["user"] = json!(user);
        if let Some(token) = token {
            object["tokenid"] = json!(token);
        }
    }

    /// The fields common to status and task list.
    fn who_and_when(&self) -> Value {
        json!({
            "id": self.process.id,
            "node": self.process.node,
            "pid": self.process.number,
            "pstart": self.process.pstart(),
            "starttime": self.process.starttime(),
            "type": self.process.kind,
            "upid": self.process.upid(),
        })
    }
}

/// Whether this exit status is a success, possibly with warnings.
pub(super) fn ends_well(exit: &str) -> bool {
    exit == "OK" || exit.starts_with("WARNINGS: ")
}

/// Appends the last lines of a log. A worker that was killed has none.
pub(super) fn log_end(log: &mut Vec<String>, exit: &str, warning: &str) {
    if was_killed(exit) {
        return;
    }
    let warnings = exit.strip_prefix("WARNINGS: ");
    let warnings = warnings.map_or(0, |count| count.parse().unwrap_or(1));
    log.extend((0..warnings).map(|_| format!("WARN: {warning}")));
    log.push(if ends_well(exit) {
        format!("TASK {exit}")
    } else {
        format!("TASK ERROR: {exit}")
    });
}

pub(super) fn was_killed(exit: &str) -> bool {
    exit == "unexpected status"
}
