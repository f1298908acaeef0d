//! A prepared list of guests, so that benchmarks measure the client and not the fake.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The answer to `GET /cluster/resources` for every token.
#[derive(Clone, Debug)]
pub(crate) struct Prebuilt(Arc<Bodies>);

#[derive(Debug)]
struct Bodies {
    plain: Vec<u8>,
    gzip: OnceLock<Vec<u8>>,
}

impl Prebuilt {
    /// `count` guests with every field that the server sends; every twentieth is a template. Each seed
    /// gives other figures.
    pub(crate) fn guests(count: u64, seed: u64) -> Self {
        let mut figures = Rng::with_seed(seed);
        let rows: Vec<String> = (0..count).map(|index| row(index, &mut figures)).collect();
        let plain = format!(r#"{{"data":[{}]}}"#, rows.join(",")).into_bytes();
        let gzip = OnceLock::new();
        Self(Arc::new(Bodies { plain, gzip }))
    }

    /// Its uncompressed length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.0.plain.len()
    }

    /// The bytes as sent; compressed on first use.
    pub(crate) fn body(&self, gzip: bool) -> &[u8] {
        let Bodies {
            plain,
            gzip: packed,
        } = &*self.0;
        if gzip {
            packed.get_or_init(|| compressed(plain))
        } else {
            plain
        }
    }
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(plain)
        .expect("writing to a vector cannot fail");
    encoder.finish().expect("writing to a vector cannot fail")
}

/// Figures as long as those of a machine that has been up for some time.
fn row(index: u64, figures: &mut Rng) -> String {
    let vmid = 100 + index;
    let node = 1 + index % 8;
    let template = u8::from(index.is_multiple_of(20));
    let status = if template == 1 { "stopped" } else { "running" };
    let cpu = if template == 1 { 0.0 } else { figures.f64() };
    let mut up_to = |most: u64| figures.u64(0..=most);
    let memory = up_to(8_589_934_592);
    format!(
        r#"{{"cpu":{cpu},"disk":0,"diskread":{},"diskwrite":{},"id":"qemu/{vmid}","maxcpu":4,"maxdisk":34359738368,"maxmem":8589934592,"mem":{memory},"memhost":{memory},"name":"guest-{vmid}.example.org","netin":{},"netout":{},"node":"pve{node}","status":"{status}","tags":"web;prod","template":{template},"type":"qemu","uptime":{},"vmid":{vmid}}}"#,
        up_to(999_999_999_999),
        up_to(999_999_999_999),
        up_to(9_999_999_999),
        up_to(9_999_999_999),
        up_to(31_536_000),
    )
}
