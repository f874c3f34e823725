//! Each tool's folder, as the tool would read it.

use super::super::{Folder, Way};
use super::Format;
use crate::migrate::sql::Wish;
use crate::model::complaint::Complaint;
use crate::ports::{Content, FolderEntry};

fn entries(files: &[(&str, &str)]) -> Vec<FolderEntry> {
    let mut found: Vec<FolderEntry> = vec![];
    for (name, text) in files {
        if let Some((folder, _)) = name.split_once('/')
            && !found.iter().any(|entry| entry.name == folder)
        {
            found.push(FolderEntry {
                name: folder.to_owned(),
                content: Content::Folder,
            });
        }
        found.push(FolderEntry {
            name: (*name).to_owned(),
            content: Content::File(text.as_bytes().to_vec()),
        });
    }
    found
}

fn folder(format: Format, files: &[(&str, &str)]) -> Folder {
    let way = Way {
        format: Some(format),
        ..Way::default()
    };
    way.of(entries(files), "db")
}

fn ids(folder: &Folder) -> Vec<&str> {
    assert_eq!(folder.problems, Vec::<Complaint>::new());
    folder.files.iter().map(|file| file.name.as_str()).collect()
}

fn problem(format: Format, files: &[(&str, &str)]) -> String {
    let folder = folder(format, files);
    assert_eq!(folder.problems.len(), 1, "{:?}", folder.problems);
    told(&folder.problems[0])
}

/// A complaint as a sentence about its place.
fn told(problem: &Complaint) -> String {
    format!("`{}` {}", problem.place(), problem.what)
}

#[test]
fn dbmate_runs_what_stands_between_up_and_down_at_its_own_lines() {
    let found = folder(
        Format::Dbmate,
        &[(
            "20200101_a.sql",
            "-- by me\n\n-- migrate:up transaction:false\nselect 1;\n\n-- migrate:down\nselect 2;\n",
        )],
    );
    assert_eq!(ids(&found), ["20200101_a.sql"]);
    let file = &found.files[0];
    assert_eq!(
        file.text,
        "-- by me\n\n-- migrate:up transaction:false\nselect 1;\n\n"
    );
    assert_eq!(file.tool.key, "20200101");
    assert_eq!(file.header.transaction, Some(Wish::Apart));
    assert_eq!(file.header.said, Some("`-- migrate:up transaction:false`"));
}

#[test]
fn dbmate_wants_an_up_line_before_every_statement() {
    let none = problem(Format::Dbmate, &[("1_a.sql", "select 1;\n")]);
    assert_eq!(
        none,
        "`db/1_a.sql:1` has a statement before `-- migrate:up`"
    );
    let twice = "-- migrate:up\n-- migrate:up\n-- migrate:down\n";
    let twice = problem(Format::Dbmate, &[("1_a.sql", twice)]);
    assert_eq!(twice, "`db/1_a.sql:2` `-- migrate:up` stands twice");
}

#[test]
fn goose_is_read_in_order_of_its_numbers() {
    let text = "-- +goose Up\n-- +goose StatementBegin\nselect 1;\n-- +goose StatementEnd\n-- +goose Down\nselect 2;\n";
    let found = folder(
        Format::Goose,
        &[("10_b.sql", text), ("00002_a.sql", text), ("README.md", "")],
    );
    assert_eq!(ids(&found), ["00002_a.sql", "10_b.sql"]);
    assert!(!found.files[0].text.contains("select 2"));
    assert_eq!(
        (found.files[0].tool.key.as_str(), found.files[0].version),
        ("2", Some(2))
    );
    let apart = folder(
        Format::Goose,
        &[(
            "1_a.sql",
            "-- +goose NO TRANSACTION\n-- +goose Up\nselect 1;\n",
        )],
    );
    assert_eq!(apart.files[0].header.transaction, Some(Wish::Apart));
}

#[test]
fn goose_says_what_only_goose_itself_can_do() {
    let code = problem(Format::Goose, &[("1_a.go", "")]);
    assert_eq!(code, "`db/1_a.go` is code, which only goose itself can run");
    let variables = "-- +goose Up\n-- +goose ENVSUBST ON\nselect ${X};\n";
    let variables = problem(Format::Goose, &[("1_a.sql", variables)]);
    assert!(
        variables.starts_with("`db/1_a.sql:2` has variables"),
        "{variables}"
    );
    let open = "-- +goose Up\n-- +goose StatementBegin\nselect 1;\n";
    assert!(problem(Format::Goose, &[("1_a.sql", open)]).contains("`db/1_a.sql:2`"));
}

#[test]
fn down_files_never_run() {
    let files = [
        ("2_b.up.sql", "select 2"),
        ("2_b.down.sql", "drop"),
        ("000001_a.up.sql", "select 1"),
        ("000001_a.down.sql", "drop"),
    ];
    for format in [Format::GolangMigrate, Format::Sqlx] {
        assert_eq!(
            ids(&folder(format, &files)),
            ["000001_a.up.sql", "2_b.up.sql"]
        );
    }
    let lost = problem(Format::GolangMigrate, &[("1_a.sql", "")]);
    assert!(lost.contains("golang-migrate does not see it"), "{lost}");
}

#[test]
fn a_version_that_stands_twice_is_named_with_both_files() {
    let twice = problem(Format::Sqlx, &[("1_a.sql", ""), ("01_b.sql", "")]);
    assert!(
        twice.contains("the version 1 stands 2 times (`01_b.sql` and `1_a.sql`)"),
        "{twice}"
    );
}

#[test]
fn sqlx_keeps_sha_384_of_the_file_and_words_for_its_name() {
    let found = folder(
        Format::Sqlx,
        &[("3_add_the_notes.sql", "-- no-transaction\nselect 1;\n")],
    );
    let file = &found.files[0];
    assert_eq!(file.tool.description, "add the notes");
    assert_eq!(file.tool.checksum.len(), 96);
    assert_eq!(file.header.said, Some("`-- no-transaction`"));
}

#[test]
fn refinery_keeps_a_hash_of_name_version_and_text() {
    // As `refinery-core` 0.9.2 has them, without and with `int8-versions`.
    let found = folder(
        Format::Refinery,
        &[
            ("V10__b.sql", "select 2"),
            ("V2__initial.sql", "create table t (id int);\n"),
        ],
    );
    assert_eq!(ids(&found), ["V2__initial.sql", "V10__b.sql"]);
    let sums: Vec<&str> = found.files[0].tool.checksum.split(' ').collect();
    assert_eq!(sums.len(), 2);
    assert_eq!(sums, ["10874067278586546056", "15508895333338458887"]);
}

#[test]
fn diesel_goes_by_the_digits_of_a_folders_name() {
    let found = folder(
        Format::Diesel,
        &[
            ("2017-09-23-182408_b/up.sql", "select 2"),
            ("2017-09-23-182408_b/down.sql", "drop"),
            ("20170308140537_a/up.sql", "select 1"),
            (
                "20170308140537_a/metadata.toml",
                "run_in_transaction = false\n",
            ),
        ],
    );
    assert_eq!(ids(&found), ["20170308140537_a", "2017-09-23-182408_b"]);
    assert_eq!(found.files[1].tool.key, "20170923182408");
    assert_eq!(found.files[1].version, Some(20_170_923_182_408));
    assert_eq!(found.files[1].shown, "db/2017-09-23-182408_b/up.sql");
    assert_eq!(found.files[0].header.transaction, Some(Wish::Apart));
    assert_eq!(found.files[1].header.transaction, None);
    let lost = problem(Format::Diesel, &[("1_a/down.sql", "drop")]);
    assert_eq!(lost, "`db/1_a/up.sql` is missing: bring it back");
}

#[test]
fn flyway_orders_versions_part_by_part() {
    let found = folder(
        Format::Flyway,
        &[
            ("V1_10__c.sql", ""),
            ("V1.2__b_b.sql", ""),
            ("V1__a.sql", ""),
            ("V2__d.sql", "create index concurrently i on t (a);"),
            ("V2__d.sql.conf", "executeInTransaction=false\n"),
            ("U1__a.sql", "drop"),
        ],
    );
    assert_eq!(
        ids(&found),
        ["V1__a.sql", "V1.2__b_b.sql", "V1_10__c.sql", "V2__d.sql"]
    );
    let keys: Vec<&str> = found
        .files
        .iter()
        .map(|file| file.tool.key.as_str())
        .collect();
    assert_eq!(keys, ["1", "1.2", "1.10", "2"]);
    assert_eq!(found.files[1].tool.description, "b b");
    assert_eq!(
        (found.files[2].version, found.files[3].version),
        (None, Some(2))
    );
    assert_eq!(found.files[3].header.transaction, Some(Wish::Apart));
    assert_eq!(
        found.notes,
        ["`db/U1__a.sql` undoes a migration: it is never run"]
    );
}

#[test]
fn flyways_checksum_knows_no_line_endings() {
    let sum = |text| {
        folder(Format::Flyway, &[("V1__a.sql", text)]).files[0]
            .tool
            .checksum
            .clone()
    };
    // The standard's test text, cut into lines.
    assert_eq!(
        sum("1234\n567\r\n89\n"),
        0xcbf4_3926_u32.cast_signed().to_string()
    );
    assert_eq!(sum("\u{feff}1234\r56789"), "-873187034");
}

#[test]
fn flyway_says_what_only_flyway_itself_can_do() {
    let repeatable = problem(Format::Flyway, &[("R__views.sql", "")]);
    assert!(repeatable.contains("is repeatable"), "{repeatable}");
    let baseline = problem(Format::Flyway, &[("B3__all.sql", "")]);
    assert!(baseline.contains("is a baseline"), "{baseline}");
    let placeholder = problem(
        Format::Flyway,
        &[("V1__a.sql", "select 1;\nselect ${schema}.x;\n")],
    );
    assert!(
        placeholder.starts_with("`db/V1__a.sql:2` has a placeholder, `${schema}`"),
        "{placeholder}"
    );
    let version = problem(Format::Flyway, &[("Vx__a.sql", "")]);
    assert!(
        version.contains("a version that is no number: `x`"),
        "{version}"
    );
}

#[test]
fn prisma_has_a_folder_for_each_and_a_lock_file_beside_them() {
    let found = folder(
        Format::Prisma,
        &[
            ("20240102000000_b/migration.sql", "select 2"),
            ("20240101000000_a/migration.sql", "select 1"),
            ("migration_lock.toml", "provider = \"postgresql\""),
        ],
    );
    assert_eq!(ids(&found), ["20240101000000_a", "20240102000000_b"]);
    assert_eq!(found.files[0].tool.checksum, found.files[0].checksum);
}

#[test]
fn drizzle_goes_by_its_journal_and_its_breakpoints_end_statements() {
    let journal = r#"{"version":"7","dialect":"postgresql","entries":[
        {"idx":0,"version":"7","when":1700000000001,"tag":"0000_z","breakpoints":true},
        {"idx":1,"version":"7","when":1700000000002,"tag":"0001_a","breakpoints":true}]}"#;
    let found = folder(
        Format::Drizzle,
        &[
            ("meta/_journal.json", journal),
            ("meta/0000_snapshot.json", "{}"),
            (
                "0000_z.sql",
                "select 1;--> statement-breakpoint\nselect 2\n--> statement-breakpoint\nselect 3",
            ),
            ("0001_a.sql", "select 4"),
        ],
    );
    assert_eq!(ids(&found), ["0000_z.sql", "0001_a.sql"]);
    let file = &found.files[0];
    assert_eq!(file.tool.when, 1_700_000_000_001);
    let lines: Vec<&str> = file.text.lines().map(str::trim_end).collect();
    assert_eq!(lines, ["select 1;", "select 2", ";", "select 3"]);
    assert_eq!(
        file.text.len(),
        "select 1;--> statement-breakpoint\nselect 2\n--> statement-breakpoint\nselect 3".len()
    );
}

#[test]
fn a_journal_that_would_make_drizzle_skip_a_file_is_refused() {
    let journal = r#"{"entries":[{"when":2,"tag":"0000_a"},{"when":1,"tag":"0001_b"}]}"#;
    let found = problem(
        Format::Drizzle,
        &[
            ("meta/_journal.json", journal),
            ("0000_a.sql", ""),
            ("0001_b.sql", ""),
        ],
    );
    assert!(
        found.contains("gives `0001_b` an earlier time (`when`) than `0000_a`"),
        "{found}"
    );
    let stray = problem(
        Format::Drizzle,
        &[
            ("meta/_journal.json", r#"{"entries":[]}"#),
            ("0000_a.sql", ""),
        ],
    );
    assert_eq!(
        stray,
        "`db/0000_a.sql` does not stand in `db/meta/_journal.json`"
    );
}

#[test]
fn node_pg_migrate_may_have_its_sections_in_either_order_or_none() {
    let found = folder(
        Format::NodePgMigrate,
        &[
            (
                "1700000000002_b.sql",
                "-- Down Migration\ndrop;\n-- Up Migration\nselect 2;\n",
            ),
            (
                "1700000000001_a.sql",
                "-- Up Migration\nselect 1;\n-- Down Migration\ndrop;\n",
            ),
            // 2023-11-14T22:13:20.003Z, which is 1700000000003.
            ("20231114221320003_c.sql", "select 3;\n"),
        ],
    );
    assert_eq!(
        ids(&found),
        [
            "1700000000001_a.sql",
            "1700000000002_b.sql",
            "20231114221320003_c.sql"
        ]
    );
    let texts: Vec<&str> = found.files.iter().map(|file| file.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "-- Up Migration\nselect 1;\n",
            "\n\n-- Up Migration\nselect 2;\n",
            "select 3;\n"
        ]
    );
    assert_eq!(found.files[0].tool.key, "1700000000001_a");
    let code = problem(Format::NodePgMigrate, &[("1700000000001_a.js", "")]);
    assert!(code.contains("is code"), "{code}");
}

#[test]
fn a_folder_that_plainly_is_another_tools_is_said_and_not_guessed() {
    let said = |files: &[(&str, &str)]| {
        let found = Way::default().of(entries(files), "db");
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        found.problems[0].to_string()
    };
    assert_eq!(
        said(&[("1_a.sql", "-- +goose Up\nselect 1;\n")]),
        "`db`: it looks like the folder of goose (`1_a.sql` has the line `-- +goose Up`); set `options: { format: goose }`, or `options: { format: raw }` where its files are plain SQL all the same"
    );
    assert!(said(&[("1_a.sql", "-- migrate:up\n")]).contains("format: dbmate"));
    assert!(said(&[("x/migration.sql", "")]).contains("format: prisma"));
    assert!(said(&[("x/up.sql", "")]).contains("format: diesel"));
    assert!(
        said(&[("1_a.up.sql", ""), ("1_a.down.sql", "")])
            .contains("format: golang-migrate }` or `options: { format: sqlx")
    );
    assert!(said(&[("V1__a.sql", "")]).contains("format: flyway"));
    assert!(said(&[("meta/_journal.json", "{}"), ("0_a.sql", "")]).contains("format: drizzle"));
    let plain = folder(Format::Raw, &[("1_a.sql", "-- +goose Up\nselect 1;\n")]);
    assert_eq!(ids(&plain), ["1_a.sql"]);
}

#[test]
fn a_version_is_read_from_an_id_in_the_layouts_own_way() {
    assert_eq!(Format::Raw.version("0042_a.sql"), Some(42));
    assert_eq!(Format::Flyway.version("V7__a.sql"), Some(7));
    assert_eq!(
        Format::Diesel.version("2017-09-23-182408_b"),
        Some(20_170_923_182_408)
    );
    assert_eq!(Format::Refinery.version("V3__a.sql"), Some(3));
}
