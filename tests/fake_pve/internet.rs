//! What a node can download, as written in a story.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::images::FileSetup;
use super::wget::host_and_port;

/// The files in it by URL.
///
/// Another URL of a host in it is answered with 404; all other hosts have no address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Internet(BTreeMap<String, Site>);

/// What a URL leads to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Site {
    File(FileSetup),
    /// The server closes the connection after this many bytes, each time from the start.
    Cut {
        file: FileSetup,
        at: u64,
    },
    /// The port is closed.
    Refused,
    NotFound,
    NoSuchHost,
}

impl Internet {
    pub(crate) fn put(&mut self, url: &str, site: Site) {
        self.0.insert(url.to_owned(), site);
    }

    pub(super) fn at(&self, url: &str) -> Site {
        let is_known = |known: &String| host_and_port(known) == host_and_port(url);
        match self.0.get(url) {
            Some(site) => site.clone(),
            None if self.0.keys().any(is_known) => Site::NotFound,
            None => Site::NoSuchHost,
        }
    }

    /// Servers no longer close connections.
    pub(super) fn end_cuts(&mut self) {
        for site in self.0.values_mut() {
            if let Site::Cut { file, .. } = site {
                *site = Site::File(file.clone());
            }
        }
    }
}
