//! Rows as the tools write them.

use super::read::State;
use super::*;
use crate::migrate::files::{Folder, Way};
use crate::model::complaint::Complaint;
use crate::ports::{Content, FolderEntry};

fn files(format: Format, files: &[(&str, &str)]) -> Folder {
    let entries = files.iter().map(|(name, text)| FolderEntry {
        name: (*name).to_owned(),
        content: Content::File(text.as_bytes().to_vec()),
    });
    let way = Way {
        format: Some(format),
        ..Way::default()
    };
    let folder = way.of(entries.collect(), "db");
    assert_eq!(folder.problems, Vec::<Complaint>::new());
    folder
}

fn applied(key: &str, checksum: Option<&str>) -> Row {
    Row {
        key: key.to_owned(),
        checksum: checksum.map(str::to_owned),
        at: None,
        state: State::Applied,
    }
}

fn known(compared: &Compared) -> Vec<usize> {
    compared.known.iter().map(|known| known.file).collect()
}

#[test]
fn one_number_of_golang_migrate_stands_for_every_file_up_to_it() {
    let folder = files(
        Format::GolangMigrate,
        &[("1_a.up.sql", ""), ("2_b.up.sql", ""), ("10_c.up.sql", "")],
    );
    let row = |key: &str, state| Row {
        state,
        ..applied(key, None)
    };
    let compared = compare(
        History::GolangMigrate,
        true,
        &folder.files,
        &[row("2", State::UpTo)],
    );
    assert_eq!((known(&compared), compared.findings), (vec![0, 1], vec![]));
    let lost = compare(
        History::GolangMigrate,
        true,
        &folder.files,
        &[row("3", State::UpTo)],
    );
    assert_eq!(lost.findings, [Finding::NoFile { key: "3".into() }]);
    let dirty = compare(
        History::GolangMigrate,
        true,
        &folder.files,
        &[row("2", State::Failed("dirty".into()))],
    );
    assert!(matches!(&dirty.findings[..], [Finding::Failed { key, .. }] if key == "2"));
    assert!(dirty.known.is_empty());
}

#[test]
fn a_checksum_that_is_not_the_files_is_a_finding() {
    let folder = files(
        Format::Sqlx,
        &[("1_a.sql", "select 1"), ("2_b.sql", "select 2")],
    );
    let sum = folder.files[0].tool.checksum.clone();
    let rows = [applied("1", Some(&sum)), applied("2", Some(&sum))];
    let compared = compare(History::Sqlx, true, &folder.files, &rows);
    assert_eq!(known(&compared), [0, 1]);
    let edited = Finding::Edited {
        id: "2_b.sql".into(),
    };
    assert_eq!(compared.findings, [edited]);
}

#[test]
fn refinerys_checksum_may_be_of_either_width() {
    let folder = files(Format::Refinery, &[("V1__a.sql", "select 1")]);
    let sums: Vec<&str> = folder.files[0].tool.checksum.split(' ').collect();
    for sum in sums {
        let rows = [applied("1", Some(sum))];
        let compared = compare(History::Refinery, true, &folder.files, &rows);
        assert_eq!(compared.findings, []);
    }
}

#[test]
fn files_that_were_written_anew_are_found_by_name_or_number() {
    let folder = files(
        Format::Raw,
        &[
            ("20240101000000_users.sql", ""),
            ("20240102000000_notes.sql", ""),
        ],
    );
    let by_name = compare(
        History::Knex,
        false,
        &folder.files,
        &[applied("20240101000000_users", None)],
    );
    assert_eq!((known(&by_name), by_name.findings.len()), (vec![0], 0));
    let by_number = compare(
        History::Dbmate,
        false,
        &folder.files,
        &[applied("20240102000000", None), applied("7", None)],
    );
    assert_eq!(known(&by_number), [1]);
    assert_eq!(by_number.findings, [Finding::NoFile { key: "7".into() }]);
}

#[test]
fn drizzle_knows_a_file_by_its_hash_and_an_edited_one_by_its_time() {
    let journal = r#"{"entries":[{"when":5,"tag":"0000_a"},{"when":6,"tag":"0001_b"}]}"#;
    let folder = files(
        Format::Drizzle,
        &[
            ("meta/_journal.json", journal),
            ("0000_a.sql", "a"),
            ("0001_b.sql", "b"),
        ],
    );
    let sum = folder.files[0].tool.checksum.clone();
    let rows = [applied("5", Some(&sum)), applied("6", Some("other"))];
    let compared = compare(History::Drizzle, true, &folder.files, &rows);
    assert_eq!(known(&compared), [0, 1]);
    let edited = Finding::Edited {
        id: "0001_b.sql".into(),
    };
    assert_eq!(compared.findings, [edited]);
}

fn insert(history: History, format: Format, name: &str, text: &str) -> String {
    let folder = files(format, &[(name, text)]);
    let table = Table {
        history,
        dialect: Dialect::Postgres,
        name: "public.t".into(),
        width: Width::of(&folder.files),
    };
    table.insert(&folder.files[0], 12).join("; ")
}

/// From the report of somebody who used Flyway 6.0.0 (flyway/flyway#2474): the
/// file's text, and what Flyway resolved it to.
#[test]
fn flyways_checksum_is_the_one_that_flyway_itself_computed() {
    let file = insert(
        History::Flyway,
        Format::Flyway,
        "V1_1__add_column_location_history_valid_until.sql",
        "alter table location_history add column valid_until timestamp with time zone;\r\n",
    );
    let wanted = "E'1.1', E'add column location history valid until', 'SQL', E'V1_1__add_column_location_history_valid_until.sql', -1039259818, current_user";
    assert!(file.contains(wanted), "{file}");
}

/// As `001` and `1.1.0.0` stand in the tables of Flyway's users.
#[test]
fn flyways_version_keeps_its_zeros() {
    for (name, version) in [
        ("V001__create employees table.sql", "'001'"),
        ("V1_1_0_0__script_inicial.sql", "'1.1.0.0'"),
    ] {
        let row = insert(History::Flyway, Format::Flyway, name, "");
        assert!(row.contains(&format!("E{version}, E'")), "{row}");
        let folder = files(Format::Flyway, &[(name, "")]);
        let read = crate::migrate::files::layouts::flyway::version_key(version.trim_matches('\''));
        assert_eq!(folder.files[0].tool.key, read);
    }
}

#[test]
fn one_version_of_64_bits_makes_all_of_refinerys_checksums_wide() {
    let both = [
        ("V1__a.sql", "select 1"),
        ("V20240101000000__b.sql", "select 2"),
    ];
    let folder = files(Format::Refinery, &both);
    let table = Table {
        history: History::Refinery,
        dialect: Dialect::Postgres,
        name: "public.t".into(),
        width: Width::of(&folder.files),
    };
    let (narrow, wide) = folder.files[0].tool.checksum.split_once(' ').expect("both");
    let row = table.insert(&folder.files[0], 0).concat();
    assert!(row.contains(wide) && !row.contains(narrow), "{row}");
    let made = History::Refinery.create(Dialect::Postgres, "t", table.width);
    assert!(made.expect("known")[0].contains("version int8 PRIMARY KEY"));
}

#[test]
fn a_row_is_made_to_speak_of_the_text_that_its_file_has_now() {
    for (format, name, wanted) in [
        (Format::Sqlx, "7_a.sql", "decode('38b060a7"),
        (Format::Refinery, "V7__a.sql", "WHERE version = 7"),
        (
            Format::Flyway,
            "V7__a.sql",
            "checksum = 0 WHERE version IS NOT NULL AND script = E'V7__a.sql'",
        ),
    ] {
        let folder = files(format, &[(name, "")]);
        let table = Table {
            history: History::of(format).expect("a tool's"),
            dialect: Dialect::Postgres,
            name: "public.t".into(),
            width: Width::Narrow,
        };
        let [update] = &table.rewrite(&folder.files[0])[..] else {
            panic!("{name}");
        };
        assert!(update.starts_with("UPDATE public.t SET "), "{update}");
        assert!(update.contains(wanted), "{update}");
    }
}

#[test]
fn a_row_is_the_one_that_its_tool_would_write() {
    assert_eq!(
        insert(
            History::Dbmate,
            Format::Dbmate,
            "007_a.sql",
            "-- migrate:up\n"
        ),
        "INSERT INTO public.t (version) VALUES (E'007')"
    );
    assert_eq!(
        insert(History::Goose, Format::Goose, "007_a.sql", "-- +goose Up\n"),
        "INSERT INTO public.t (version_id, is_applied) VALUES (7, true)"
    );
    assert_eq!(
        insert(
            History::GolangMigrate,
            Format::GolangMigrate,
            "7_a.up.sql",
            ""
        ),
        "DELETE FROM public.t WHERE version <= 7; \
         INSERT INTO public.t (version, dirty) SELECT 7, false WHERE NOT EXISTS (SELECT 1 FROM public.t)"
    );
    let sqlx = insert(History::Sqlx, Format::Sqlx, "7_a_b.sql", "");
    assert!(
        sqlx.contains("VALUES (7, E'a b', true, decode('38b060a751ac9638"),
        "{sqlx}"
    );
    assert!(sqlx.ends_with("'hex'), 12000000)"), "{sqlx}");
    let flyway = insert(
        History::Flyway,
        Format::Flyway,
        "V1_2__a_b.sql",
        "123456789",
    );
    assert!(
        flyway.contains(
            "E'1.2', E'a b', 'SQL', E'V1_2__a_b.sql', -873187034, current_user, 12, true"
        ),
        "{flyway}"
    );
}

#[test]
fn a_table_that_cannot_hold_what_is_wanted_is_refused_beforehand() {
    let late = files(
        Format::GolangMigrate,
        &[("1_a.up.sql", "-- stagecraft: phase=post\nselect 1;\n")],
    );
    let told = History::GolangMigrate.objections(Dialect::Postgres, &late.files);
    assert!(
        told[0].contains("`db/1_a.up.sql` says `phase=post`"),
        "{told:?}"
    );
    let told = History::Prisma.objections(Dialect::Sqlite, &[]);
    assert!(told[0].contains("not known for prisma"), "{told:?}");
}
