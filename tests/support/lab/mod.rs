//! The words of the tests that drive the program as its user would: a project
//! in a checkout, hosts on which bad things happen, and what a run said.
//!
//! ```ignore
//! let shop = Project::new("shop").on(&[1, 2, 4]);
//! shop.deploy("v1").succeeds();
//! shop.breaks(Breakage::NeverHealthy).deploy("v2").fails_with(23);
//! shop.serves("v1");
//! ```
//!
//! Whatever a test makes on the hosts carries its project's name, which is
//! unique, and is removed when the project goes out of scope.

mod checkout;
mod edge;
mod engine;
mod host;
mod project;
mod proxied;
mod run;
mod running;

pub(crate) use checkout::{Breakage, Checkout};
pub(crate) use edge::{Authority, Tunnel};
pub(crate) use engine::{Engine, engine, here};
pub(crate) use host::{Breakable, Host, Sshd, lab};
pub(crate) use project::Project;
pub(crate) use proxied::{HTTP, proxy_of_host_2};
pub(crate) use run::Run;
pub(crate) use running::{Running, processes_of};

use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `what` is true.
#[track_caller]
pub(crate) fn within(patience: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// For whoever reads what a test measured.
pub(crate) fn says(text: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{text}\n"));
}

/// A number that no other test of this lab gets: a port on the hosts, and what
/// makes names unique.
fn next_number() -> u16 {
    use std::io::{Read, Seek, Write};
    let path = format!("{}/run/next-port", lab_folder());
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .expect("the lab is up: `tests/lab/up`");
    file.lock().expect("a lock");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    let number = match text.trim().parse() {
        Ok(last @ 30_000..39_999) => last + 1,
        _ => 30_000,
    };
    file.rewind().expect("the beginning");
    write!(file, "{number:5}").expect("written");
    number
}

/// A port on the hosts that no project has.
pub(crate) fn free_port() -> u16 {
    next_number()
}

fn lab_folder() -> String {
    std::env::var("STAGECRAFT_LAB").unwrap_or_else(|_| "/tmp/stagecraft-lab".to_owned())
}
