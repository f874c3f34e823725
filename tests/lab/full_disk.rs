//! A disk that fills up in the middle of a backup: nothing is recorded, nothing
//! stays.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::backups::Shop;
use crate::sandbox::{Run, Sandbox};
use crate::support::database::Kind;
use crate::support::lab::here;

/// A folder of backups on a disk of its own, and a `df` that saw it before it
/// filled up.
struct SmallDisk<'a> {
    folder: PathBuf,
    sandbox: &'a Sandbox,
}

impl<'a> SmallDisk<'a> {
    fn under(sandbox: &'a Sandbox, size: &str) -> Self {
        let folder = sandbox.path(".stagecraft/backups/prod");
        fs::create_dir_all(&folder).unwrap();
        here().sh(&format!(
            "mount -t tmpfs -o size={size},mode=700 none {}",
            folder.display()
        ));
        let disk = Self { folder, sandbox };
        disk.instead("df", "echo none 9999999 0 9999999 0% /");
        disk
    }

    /// A program that stands before the machine's own.
    fn instead(&self, program: &str, script: &str) {
        let file = self.sandbox.path("bin").join(program);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        let made = Command::new("chmod").arg("755").arg(&file).status();
        assert!(made.unwrap().success());
        self.sandbox
            .set("PATH", "$shop/bin:/usr/local/bin:/usr/bin:/bin");
    }

    fn holds(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[track_caller]
    fn fails(&self, says: &[&str]) -> Run {
        let run = self.sandbox.run("backup create --env prod");
        assert_eq!(run.code, 26, "{run}");
        for words in says {
            assert!(run.stderr.contains(words), "{words:?}: {run}");
        }
        assert!(
            run.stderr.contains("no backup of `main` was recorded"),
            "{run}"
        );
        let list = self.sandbox.run("backup list --env prod");
        assert!(list.stdout.contains("no backups of prod yet"), "{list}");
        run
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        here().try_sh(&format!("umount {}", self.folder.display()));
    }
}

/// D83: no space.
#[test]
fn a_disk_that_fills_up_under_a_dump_leaves_nothing_behind() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        shop.sql("CREATE TABLE big (a text)");
        let fill = match kind {
            Kind::Postgres => "SELECT md5(n::text) FROM generate_series(1, 30000) n",
            Kind::Mysql => "SELECT md5(seq) FROM seq_1_to_30000",
        };
        shop.sql(&format!("INSERT INTO big {fill}"));
        let disk = SmallDisk::under(&shop.sandbox, "300k");
        let run = disk.fails(&[
            "cannot copy the database of `main` on this machine",
            "No space left on device",
            "make room on the disk",
        ]);
        // Not what a program says whose reader is gone.
        let mut causes = run.stderr.lines().filter(|line| line.contains("caused by"));
        assert!(
            causes.all(|line| line.contains("No space left on device")),
            "{run}"
        );
        assert_eq!(disk.holds(), [""; 0]);
    }
}

const NOTES: &str = "\
version: 1
project: { name: $project }
build: { context: . }
roles:
  web: { port: 3000, health: { path: /up } }
databases:
  main:
    connection_env: DATABASE_URL
    via: direct
    migrations: { engine: raw, path: db }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

/// D83: no space for SQLite's own copy, for its compressed form, for the ledger.
#[test]
fn a_disk_that_fills_up_under_a_copy_of_sqlite_leaves_nothing_behind() {
    let sandbox = Sandbox::with(NOTES);
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) \
         INSERT INTO notes SELECT hex(randomblob(40)) FROM n;";
    sandbox
        .file(
            "db/001_notes.sql",
            &format!("CREATE TABLE notes (a text);\n{many}\n"),
        )
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    for (size, says) in [
        // About 400 kB, and half as much compressed.
        ("200k", "cannot copy the SQLite database"),
        ("480k", "cannot compress or unpack the copy"),
    ] {
        let disk = SmallDisk::under(&sandbox, size);
        let run = disk.fails(&[says, "make room on the disk"]);
        assert!(
            run.stderr.contains("full") || run.stderr.contains("No space left"),
            "{run}"
        );
        assert_eq!(disk.holds(), [""; 0], "{size}");
    }
    let disk = SmallDisk::under(&sandbox, "2m");
    // It fills up once the file has its name.
    disk.instead(
        "mv",
        "/bin/mv \"$@\" || exit 1\nfor last; do :; done\ncase $last in */backups/prod/*.gz) dd if=/dev/zero of=\"${last%/*}/others\" bs=4k count=600 2>/dev/null;; esac; exit 0",
    );
    let _ = disk.fails(&["cannot write the ledger of backups"]);
    assert_eq!(disk.holds(), ["others"]);
}
