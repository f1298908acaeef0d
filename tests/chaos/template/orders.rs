//! The commands that create a template, and the clusters in which they run.

use serde_json::{Value, json};

use super::testbed::Testbed;

pub(super) const NAME: &str = "debian-12";
/// The VMID that it gets unless somebody else has it.
pub(super) const VMID: u32 = 101;
pub(super) const URL: &str = "https://images.example/debian-12-amd64.img";
/// Of the content `debian-12`.
pub(super) const SHA256: &str = "cae66afe3057e4eb553d161dd813fb8e53fc3493d0b0804fdc40214a589247de";
pub(super) const VOLUME: &str = "local:import/debian-12.qcow2";

/// A command, and the template that it is to create.
pub(super) struct Order {
    pub(super) name: &'static str,
    /// Its arguments.
    pub(super) line: String,
    /// The file of the image on its storage.
    pub(super) volume: &'static str,
    /// What the disk is called in the configuration, and how large it is.
    pub(super) disk: &'static str,
    /// Whether other content than that of the image is refused.
    pub(super) is_verified: bool,
    /// Options that were requested, and their values.
    pub(super) options: &'static [(&'static str, &'static str)],
}

pub(super) fn all() -> Vec<Order> {
    vec![from_url_with_checksum(), from_url(), from_volume()]
}

pub(super) fn from_url_with_checksum() -> Order {
    Order {
        name: "URL with checksum",
        line: create(&format!("--image {URL} --checksum sha256:{SHA256}")),
        volume: "local:import/debian-12-amd64-cae66afe.qcow2",
        disk: "3G",
        is_verified: true,
        options: &[("cores", "2"), ("memory", "2048")],
    }
}

pub(super) fn from_url() -> Order {
    Order {
        name: "URL",
        line: create(&format!("--image {URL}")),
        volume: "local:import/debian-12-amd64.qcow2",
        is_verified: false,
        ..from_url_with_checksum()
    }
}

/// With further options and a larger disk.
pub(super) fn from_volume() -> Order {
    Order {
        name: "volume",
        line: create(&format!(
            "--image {VOLUME} --resize scsi0=8G --set ciuser=admin --set tags=images --cores 4"
        )),
        volume: VOLUME,
        disk: "8G",
        is_verified: false,
        options: &[("cores", "4"), ("ciuser", "admin"), ("tags", "images")],
    }
}

pub(super) fn create(arguments: &str) -> String {
    create_named(NAME, arguments)
}

pub(super) fn create_named(name: &str, arguments: &str) -> String {
    format!("template create {name} --storage data {arguments}")
        .trim_end()
        .to_owned()
}

impl Order {
    /// Two nodes, a router, another template, the image where it is expected, and these further settings. Tasks
    /// take a few polls.
    pub(super) fn setup(&self, more: &Value) -> Value {
        let mut setup = json!({
            "nodes": ["pve1", "pve2"],
            "guests": [
                {"vmid": 100, "name": "router", "status": "running"},
                {"vmid": 9000, "name": "base", "template": true},
            ],
            "internet": {URL: {"file": {}}},
            "download_polls": 1,
            "create_polls": 1,
            "task_polls": 1,
            "tokens": {"stranger@pve!cli": "all", "colleague@pve!cli": "all"},
        });
        if self.volume == VOLUME {
            setup["images"] = json!([{"volid": VOLUME}]);
        }
        let more = more.as_object().expect("an object").clone();
        setup.as_object_mut().expect("an object").extend(more);
        setup
    }

    /// The requests of a run without mishaps.
    pub(super) fn requests(&self) -> Vec<String> {
        let testbed = Testbed::new(self, &json!({}), []);
        let seen = testbed.run(&self.line);
        let went = testbed.expect_created(&seen);
        assert_eq!(went.map(drop), Ok(()), "{}", testbed.details());
        testbed.fake.journal()
    }

    /// The requests of such a run that are worth a mishap, by number: after its download, an import without a
    /// checksum does the same as one with a checksum.
    pub(super) fn own_requests(&self) -> Vec<(usize, String)> {
        let is_import = |line: &String| line.starts_with("POST /nodes/pve1/qemu ");
        let numbered = (1..).zip(self.requests());
        match self.name {
            "URL" => numbered.take_while(|(_, line)| !is_import(line)).collect(),
            _ => numbered.collect(),
        }
    }

    /// The number of the first request that begins with this.
    pub(super) fn number_of(&self, start: &str) -> usize {
        let journal = self.requests();
        let at = journal.iter().position(|line| line.starts_with(start));
        at.unwrap_or_else(|| panic!("no request begins with '{start}': {journal:#?}")) + 1
    }
}

/// Whether a request changes anything.
pub(super) fn is_change(line: &str) -> bool {
    !line.starts_with("GET ")
}
