//! A list of guests that was written down before, so that a client is measured and not the fake.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The answer to `GET /cluster/resources`, whoever asks.
#[derive(Clone, Debug)]
pub(crate) struct Prebuilt(Arc<Bodies>);

#[derive(Debug)]
struct Bodies {
    plain: Vec<u8>,
    /// Made before the first answer that takes it.
    gzip: OnceLock<Vec<u8>>,
}

impl Prebuilt {
    /// So many guests with all that the server tells of them, each twentieth a template.
    pub(crate) fn guests(count: u64) -> Self {
        let rows: Vec<String> = (0..count).map(row).collect();
        let plain = format!(r#"{{"data":[{}]}}"#, rows.join(",")).into_bytes();
        let gzip = OnceLock::new();
        Self(Arc::new(Bodies { plain, gzip }))
    }

    /// How long it is before it is compressed, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.0.plain.len()
    }

    pub(super) fn body(&self, gzip: bool) -> &[u8] {
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
    encoder.write_all(plain).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

/// Numbers that are as long as those of a machine that has been up for a while.
fn row(index: u64) -> String {
    let vmid = 100 + index;
    let template = u8::from(index.is_multiple_of(20));
    let (status, cpu, memory) = if template == 1 {
        ("stopped", 0, 0)
    } else {
        ("running", 13 + index % 88, 1_073_741_824 + index * 4096)
    };
    format!(
        r#"{{"cpu":0.0{cpu}7{index:06}1,"disk":0,"diskread":{},"diskwrite":{},"id":"qemu/{vmid}","maxcpu":4,"maxdisk":34359738368,"maxmem":8589934592,"mem":{memory},"memhost":{memory},"name":"guest-{vmid}.example.org","netin":{},"netout":{},"node":"pve{}","status":"{status}","tags":"web;prod","template":{template},"type":"qemu","uptime":{},"vmid":{vmid}}}"#,
        1_234_567_890 + index * 12_345,
        987_654_321 + index * 54_321,
        5_555_555_555 + index * 777,
        4_444_444_444 + index * 888,
        1 + index % 8,
        86_400 + index * 3,
    )
}
