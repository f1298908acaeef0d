//! `make bench`: the static program compared with `curl -s`, which sends the same GET to the same server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot continue has failed, and no figure here needs 15 digits"
)]

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

#[path = "fake_pve/mod.rs"]
mod fake_pve;

use fake_pve::{FakePve, Prebuilt, SECRET, Setup, TOKEN};

/// Odd, so that one of them is the median.
const RUNS: usize = 21;
const COUNTS: [u64; 4] = [20, 1_000, 10_000, 100_000];
const CLUSTER: &str = r#"{
    "guests": [
        {"vmid": 8999, "name": "router", "status": "running"},
        {"vmid": 9000, "name": "debian-12", "template": true}
    ],
    "rows": {"every_ms": 1}
}"#;

fn help_row(out: &mut dyn Write, program: &Path, folder: &Folder) -> io::Result<()> {
    let help = || timed(Command::new(program).arg("--help"));
    let times: Vec<Duration> = (0..RUNS).map(|_| help()).collect::<io::Result<_>>()?;
    let peak = folder.peak_of(Command::new(program).arg("--help"))?;
    writeln!(
        out,
        "| `homelab --help` | {} | | | {peak} | | | |",
        Ms(median(times))
    )?;
    Ok(())
}

/// The rows for lists of a cluster with this many guests.
fn list_rows(out: &mut dyn Write, program: &Path, folder: &Folder, count: u64) -> io::Result<()> {
    let length = Prebuilt::guests(count, 0).length();
    for gzip in [false, true] {
        let fake = folder.fake(gzip)?;
        let bench = Bench {
            program,
            fake: &fake,
            folder,
            gzip,
        };
        let megabytes = length as f64 / 1e6;
        let guests = thousands(count);
        let templates = count.div_ceil(20);
        let lists = [
            ("template list", templates),
            ("vm list --wide", count - templates),
        ];
        // One size of that is enough.
        let lists = lists
            .into_iter()
            .filter(|(list, _)| *list == "template list" || count == 1_000);
        for (list, rows) in lists {
            bench.row(
                out,
                &format!("`{list}`, {guests} guests, {megabytes:.2} MB"),
                |run| {
                    let prebuilt = Prebuilt::guests(count, run as u64);
                    prebuilt.body(gzip);
                    fake.cluster().prebuilt = Some(prebuilt);
                    list.to_owned()
                },
                |shown| shown.lines().count() as u64 == rows + 1,
            )?;
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let program = std::env::args_os().nth(1).expect("the program to measure");
    let program = Path::new(&program).canonicalize()?;
    let folder = Folder::new(&program)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "| | wall time | `curl -s` | ratio | peak memory | of curl | requests | connections |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    help_row(&mut out, &program, &folder)?;
    for count in COUNTS {
        list_rows(&mut out, &program, &folder, count)?;
    }
    for gzip in [false, true] {
        let fake = folder.fake(gzip)?;
        let bench = Bench {
            program: &program,
            fake: &fake,
            folder: &folder,
            gzip,
        };
        bench.row(
            &mut out,
            "`vm create`, finished at once",
            |run| format!("vm create web-{run} debian-12"),
            |shown| shown.starts_with("Successfully created VM "),
        )?;
        bench.row(
            &mut out,
            "`vm show`",
            |_| "vm show router".to_owned(),
            |shown| shown.starts_with("Name:"),
        )?;
    }
    let size = std::fs::metadata(&program)?.len() as f64 / f64::from(1 << 20);
    let name = program.file_name().unwrap_or_default().display();
    writeln!(
        out,
        "\n{name}: {size:.2} MiB. Medians of {RUNS} runs, alternating with curl's."
    )
}

/// One server, and its client.
struct Bench<'b> {
    program: &'b Path,
    fake: &'b FakePve,
    folder: &'b Folder,
    gzip: bool,
}

impl Bench<'_> {
    /// Measures the command that `arguments` prepares for each run, and curl after it.
    fn row(
        &self,
        out: &mut dyn Write,
        name: &str,
        arguments: impl Fn(usize) -> String,
        is_right: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let shown = shown_by(&mut self.ours(&arguments(0)))?;
        let got = shown_by(&mut self.curl())?;
        if !is_right(&shown) || !got.starts_with("{\"data\":[") || !got.ends_with("]}") {
            return Err(io::Error::other(format!("{name}: unexpected output")));
        }
        let mut ours = Vec::new();
        let mut curls = Vec::new();
        for run in 1..=RUNS {
            ours.push(timed(&mut self.ours(&arguments(run)))?);
            curls.push(timed(&mut self.curl())?);
        }
        let (ours, curls) = (median(ours), median(curls));
        self.fake.take_journal();
        let connections = self.fake.connections();
        let peak = self.folder.peak_of(&mut self.ours(&arguments(RUNS + 1)))?;
        let requests = self.fake.take_journal().len();
        let connections = self.fake.connections() - connections;
        let peak_of_curl = self.folder.peak_of(&mut self.curl())?;
        let way = if self.gzip { "gzip" } else { "not compressed" };
        let ratio = ours.as_secs_f64() / curls.as_secs_f64();
        writeln!(
            out,
            "| {name}, {way} | {} | {} | {ratio:.2} | {peak} | {peak_of_curl} | {requests} | \
             {connections} |",
            Ms(ours),
            Ms(curls)
        )
    }

    fn ours(&self, arguments: &str) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg("proxmox")
            .args(arguments.split(' '))
            .env_clear()
            .env("PROXMOX_HOST", self.fake.url())
            .env("PROXMOX_VE_API_TOKEN", format!("{TOKEN}={SECRET}"))
            .env("PROXMOX_CA_FILE", self.folder.ca())
            .env("HOMELAB_STATE_DIR", self.folder.0.join("state"));
        command
    }

    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        let url = self.fake.url();
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .args(["-q", "-s", "--fail", "--noproxy", "*"])
            .args(self.gzip.then_some("--compressed"))
            .arg("--cacert")
            .arg(self.folder.ca())
            .arg("-H")
            .arg(format!("Authorization: PVEAPIToken={TOKEN}={SECRET}"))
            .arg(format!("{url}/api2/json/cluster/resources?type=vm"));
        command
    }
}

/// A folder beside the program, on a real disk, because records are synced.
struct Folder(PathBuf);

impl Folder {
    fn new(program: &Path) -> io::Result<Self> {
        let folder = format!("homelab-bench-{}", std::process::id());
        let folder = Self(program.with_file_name(folder));
        std::fs::create_dir_all(&folder.0)?;
        Ok(folder)
    }

    fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// Starts a fake with TLS, and writes its authority into the folder.
    fn fake(&self, gzip: bool) -> io::Result<FakePve> {
        let setup: Setup = serde_json::from_str(CLUSTER)?;
        let fake = FakePve::start_tls(Setup { gzip, ..setup });
        std::fs::write(self.ca(), fake.ca_pem())?;
        Ok(fake)
    }

    /// The peak memory of a command. GNU time starts it, because a child of this process begins with the
    /// memory of this one.
    fn peak_of(&self, command: &mut Command) -> io::Result<MiB> {
        let report = self.0.join("peak");
        let mut time = Command::new("time");
        time.args(["-f", "%M", "-o"]).arg(&report);
        time.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            time.envs(value.map(|value| (name, value)));
        }
        timed(&mut time)?;
        let kilobytes = std::fs::read_to_string(&report)?;
        let kilobytes: f64 = kilobytes.trim().parse().map_err(io::Error::other)?;
        Ok(MiB(kilobytes / 1024.0))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _may_not_exist = std::fs::remove_dir_all(&self.0);
    }
}

/// Its stdout. A failure is an error.
fn shown_by(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Its run time. A failure is an error.
fn timed(command: &mut Command) -> io::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let output = command.stderr(Stdio::piped()).output()?;
    let took = began.elapsed();
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    Ok(took)
}

fn failed(command: &Command, output: &Output) -> io::Error {
    let message = String::from_utf8_lossy(&output.stderr);
    io::Error::other(format!("{command:?}: {}\n{message}", output.status))
}

fn thousands(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        _ => format!("{},{:03}", count / 1_000, count % 1_000),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

struct Ms(Duration);

impl Display for Ms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1e3)
    }
}

struct MiB(f64);

impl Display for MiB {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} MiB", self.0)
    }
}
