//! The life of a download, from the accepted POST to the end of its task.
//!
//! - The worker looks for the file first, and ends if there is one.
//! - It writes to a file of its own, which no list contains.
//! - If that is complete and valid, it gets its name, and replaces a file that got the name meanwhile.

use super::cluster::Cluster;
use super::deeds::ImageDid;
use super::file_tasks::{FileTask, Pace, Transfer};
use super::images::{FileKind, FileSetup, Image};
use super::internet::Site;
use super::processes::Process;
use super::storages::folder;
use super::wget::{self, Wget};

/// A download request whose parameters and storage are valid.
#[derive(Clone, Debug)]
pub(crate) struct DownloadOrder {
    pub(crate) node: String,
    pub(crate) storage: String,
    pub(crate) filename: String,
    pub(crate) url: String,
    pub(crate) checksum: Option<Checksum>,
    /// The token that requested it.
    pub(crate) owner: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Checksum {
    pub(crate) algorithm: String,
    /// In lower or upper case.
    pub(crate) sum: String,
}

impl DownloadOrder {
    pub(crate) fn volid(&self) -> String {
        format!("{}:import/{}", self.storage, self.filename)
    }

    fn path(&self) -> String {
        format!("{}/import/{}", folder(&self.storage), self.filename)
    }
}

impl Checksum {
    /// An error that ends with what the checksum should have been.
    fn check(&self, sha256: &str, sha512: &str) -> Result<(), String> {
        let got = match &*self.algorithm {
            "sha256" => sha256,
            "sha512" => sha512,
            other => unimplemented!("the {other} of a file"),
        };
        let expected = &self.sum;
        if got == expected.to_ascii_lowercase() {
            return Ok(());
        }
        Err(format!(
            "checksum mismatch: got '{got}' != expect '{expected}'"
        ))
    }
}

impl Cluster {
    /// Forks the worker, which ends at once if there is nothing to transfer.
    pub(super) fn begin_download(&mut self, order: DownloadOrder) -> String {
        let process = Process {
            node: order.node.clone(),
            kind: "download",
            id: order.filename.clone(),
            owner: order.owner.clone(),
            number: self.next_process(),
        };
        let mut task = FileTask::forked(process);
        let upid = task.upid.clone();
        let (url, path) = (&order.url, order.path());
        task.log.push(format!("downloading {url} to {path}"));
        match self.image(&order.node, &order.volid()) {
            Some(existing) => end_because_of(&mut task, &order, existing),
            None => self.begin_transfer(&mut task, order),
        }
        self.file_tasks.push(task);
        upid
    }

    fn begin_transfer(&mut self, task: &mut FileTask, order: DownloadOrder) {
        let url = &order.url;
        let (mut lines, error) = match self.setup.internet.at(url) {
            Site::NotFound => (wget::not_found(url), "exit code 8".to_owned()),
            Site::Refused => wget::refused(url),
            Site::NoSuchHost => wget::unresolved(url),
            Site::File(file) => return self.transfer(task, order, file, None),
            Site::Cut { file, at } => return self.transfer(task, order, file, Some(at)),
        };
        task.log.append(&mut lines);
        task.end(format!("download failed: {error}"));
    }

    fn transfer(
        &mut self,
        task: &mut FileTask,
        order: DownloadOrder,
        file: FileSetup,
        cut_at: Option<u64>,
    ) {
        let wget = Wget {
            url: order.url.clone(),
            file: format!("{}.tmp_dwnl.{}", order.path(), task.process.number),
            size: file.size,
        };
        let pace = match self.setup.download_requests {
            None => Pace::Polls(self.setup.download_polls),
            Some(more) => Pace::Requests(self.requests + more),
        };
        let (progress, finale, exit) = self.outcome(&order, &file, &wget);
        let scripted = Some(self.setup.download_exit.next());
        task.transfer = Some(Transfer {
            order,
            file,
            wget,
            pace,
            cut_at,
            attempts: 0,
            progress,
            finale,
            exit,
            scripted: scripted.filter(|exit| exit != "OK"),
        });
        task.attempt();
    }

    /// The lines of progress, those after them, and the exit status.
    fn outcome(
        &self,
        order: &DownloadOrder,
        file: &FileSetup,
        wget: &Wget,
    ) -> (Vec<String>, Vec<String>, String) {
        let storage = self.setup.storage(&order.storage);
        let free = storage.map_or(0, |found| if found.full { 0 } else { found.avail });
        let target = &wget.file;
        if file.size > free {
            let exit =
                format!("download failed: Cannot write to '{target}' (No space left on device).");
            return (wget.no_space(free), Vec::new(), exit);
        }
        let mut finale = vec![wget.saved()];
        let exit = verify(order, file, target, &mut finale);
        (wget.progress(), finale, exit)
    }

    /// The file that the worker has written gets its name.
    pub(super) fn finish_download(&mut self, order: &DownloadOrder, file: &FileSetup) {
        let image = Image::of(&order.volid(), file, self.now());
        let replaced = self.put_image(&order.node, image.clone());
        let did = ImageDid::Download {
            url: order.url.clone(),
            replaced,
        };
        self.record_image(&order.owner, &order.node, image, did);
    }
}

/// The worker has found a file.
fn end_because_of(task: &mut FileTask, order: &DownloadOrder, existing: &Image) {
    let Some(checksum) = &order.checksum else {
        let path = order.path();
        return task.end(format!("refusing to override existing file '{path}'"));
    };
    let line = "calculating checksum of existing file...";
    match checksum.check(&existing.sha256, &existing.sha512) {
        Ok(()) => {
            let same = "OK, got correct file already, no need to download";
            task.log.push(format!("{line}{same}"));
            task.end("OK".to_owned());
        }
        Err(mismatch) => {
            task.log.push(line.to_owned());
            task.end(format!("{mismatch}, aborting"));
        }
    }
}

/// The exit status of a worker that has received a file, and more lines.
fn verify(
    order: &DownloadOrder,
    file: &FileSetup,
    target: &str,
    lines: &mut Vec<String>,
) -> String {
    if let Some(checksum) = &order.checksum {
        let line = "calculating checksum...";
        if let Err(mismatch) = checksum.check(&file.sha256(), &file.sha512()) {
            lines.push(line.to_owned());
            return mismatch;
        }
        lines.push(format!("{line}OK, checksum verified"));
    }
    let (_, format) = order.filename.rsplit_once('.').unwrap_or_default();
    if let Some(why) = what_is_wrong(file.kind, format, target, lines) {
        return format!("failed to verify file: {why}");
    }
    let (url, path) = (&order.url, order.path());
    lines.push(format!("download of '{url}' to '{path}' finished"));
    "OK".to_owned()
}

/// Any file is a raw disk. The content of an archive is not modelled.
fn what_is_wrong(
    kind: FileKind,
    format: &str,
    target: &str,
    lines: &mut Vec<String>,
) -> Option<String> {
    match (format, kind) {
        ("raw" | "ova", _) | ("qcow2", FileKind::Qcow2) | ("vmdk", FileKind::Vmdk) => None,
        ("qcow2", FileKind::BackingFile) => Some(format!(
            "backing file not allowed for untrusted image '{target}'!"
        )),
        _ => {
            lines.push(format!(
                "command '/usr/bin/qemu-img info '--output=json' {target} -f {format}' failed: exit \
                 code 1"
            ));
            Some(format!(
                "qemu-img: Could not open '{target}': Image is not in {format} format"
            ))
        }
    }
}
