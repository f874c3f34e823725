//! Tools whose programs take minutes to build, judged once by hand: what each
//! wrote into its own table on PostgreSQL 15, column for column, is what
//! Stagecraft writes, and what Stagecraft reads. (The other way round, each had
//! nothing to do after Stagecraft's run, and went on with a file more.)

use serde_json::json;

use crate::support::database::{Kind, Scratch, Seen, psql};
use crate::support::migrations::{Project, states};

struct Transcript {
    /// The program that was asked.
    program: &'static str,
    format: &'static str,
    /// What lay in its folder.
    files: &'static [(&'static str, &'static str)],
    table: &'static str,
    /// As `COLUMNS` tells them.
    columns: &'static str,
    /// All but times and durations.
    ask: &'static str,
    /// The answer, after the tool's own run.
    rows: &'static str,
    /// The table as the tool left it, with its rows.
    left: &'static str,
}

const REFINERY: Transcript = Transcript {
    program: "refinery-core 0.10.1",
    format: "refinery",
    files: &[
        ("V1__first_one.sql", "CREATE TABLE a (id int);\n"),
        ("V2__b.sql", "CREATE TABLE b (id int);\n"),
        ("V3__c.sql", "CREATE TABLE c (id int);\n"),
    ],
    table: "refinery_schema_history",
    columns: "version int4 NO, name varchar(255) YES, applied_on varchar(255) YES, checksum varchar(255) YES",
    ask: r"SELECT version, name, checksum, applied_on ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$' FROM refinery_schema_history ORDER BY version",
    rows: "1|first_one|2440686446524063666|t
2|b|1485372422620476403|t
3|c|3950127486539403680|t",
    left: "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255));
INSERT INTO refinery_schema_history VALUES
 (1, 'first_one', '2026-11-21T17:56:01.509299175Z', '2440686446524063666'),
 (2, 'b', '2026-11-21T17:56:39.389724398Z', '1485372422620476403'),
 (3, 'c', '2026-11-21T17:56:39.38969158Z', '3950127486539403680')",
};

const SQLX: Transcript = Transcript {
    program: "sqlx 0.9.0",
    format: "sqlx",
    files: &[
        ("0001_first_one.sql", "CREATE TABLE a (id int);\n"),
        ("20170308140537_zero.up.sql", "CREATE TABLE z (id int);\n"),
        ("20170308140537_zero.down.sql", "DROP TABLE z;\n"),
        (
            "20240101000000_apart.sql",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON a (id)",
        ),
    ],
    table: "_sqlx_migrations",
    columns: "version int8 NO, description text NO, installed_on timestamptz NO now(), success bool NO, checksum bytea NO, execution_time int8 NO",
    ask: "SELECT version, description, success, checksum FROM _sqlx_migrations ORDER BY version",
    rows: r"1|first one|t|\x52dcffb424aeb77cd96de966de88547001ad9656d3d53e03c8907e0f31653840336ff6b02aeb25a48ef7d46e1ce5f7f9
20170308140537|zero|t|\xf32a4274df84392d3bb34b0cd5651b92a04071920fa4100a78b290ca3bb2a669c2a7ceb3f0beb8d21079c45c87424a4d
20240101000000|apart|t|\xc89cf77ade93992e5048fe445540ac158322b40af177f7e8422aa75faecbe5f03f446cac85460cd0bd6ebbe58d1987e1",
    left: r"CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
INSERT INTO _sqlx_migrations VALUES
 (1, 'first one', '2026-11-21 17:59:01.800644+00', true, '\x52dcffb424aeb77cd96de966de88547001ad9656d3d53e03c8907e0f31653840336ff6b02aeb25a48ef7d46e1ce5f7f9', 2868832),
 (20170308140537, 'zero', '2026-11-21 17:59:01.804387+00', true, '\xf32a4274df84392d3bb34b0cd5651b92a04071920fa4100a78b290ca3bb2a669c2a7ceb3f0beb8d21079c45c87424a4d', 2630079),
 (20240101000000, 'apart', '2026-11-21 17:59:01.80875+00', true, '\xc89cf77ade93992e5048fe445540ac158322b40af177f7e8422aa75faecbe5f03f446cac85460cd0bd6ebbe58d1987e1', 1670370)",
};

const DIESEL: Transcript = Transcript {
    program: "diesel_migrations 2.3.2",
    format: "diesel",
    files: &[
        (
            "2017-09-23-182408_one/up.sql",
            "CREATE TABLE a (id int);\n",
        ),
        ("2017-09-23-182408_one/down.sql", "DROP TABLE a;\n"),
        ("20170308140537_zero/up.sql", "CREATE TABLE z (id int);\n"),
        (
            "2024-01-01-000000_apart/up.sql",
            "CREATE INDEX CONCURRENTLY i ON a (id)\n",
        ),
        (
            "2024-01-01-000000_apart/metadata.toml",
            "run_in_transaction = false\n",
        ),
    ],
    table: "__diesel_schema_migrations",
    columns: "version varchar(50) NO, run_on timestamp NO CURRENT_TIMESTAMP",
    ask: "SELECT version FROM __diesel_schema_migrations ORDER BY run_on",
    rows: "20170308140537\n20170923182408\n20240101000000",
    left: "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY NOT NULL, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);
INSERT INTO __diesel_schema_migrations VALUES
 ('20170308140537', '2026-11-21 17:58:12.10215'),
 ('20170923182408', '2026-11-21 17:58:12.105676'),
 ('20240101000000', '2026-11-21 17:58:12.106839')",
};

const COLUMNS: &str = "SELECT string_agg(column_name || ' ' || udt_name || coalesce('(' || character_maximum_length || ')', '') \
     || ' ' || is_nullable || coalesce(' ' || column_default, ''), ', ' ORDER BY ordinal_position) \
     FROM information_schema.columns WHERE table_name = ";

impl Transcript {
    fn project(&self, url: &str) -> Project {
        let mut project = Project::new(url);
        let options = json!({ "format": self.format, "table": "native" });
        project.main().options = options.as_object().unwrap().clone();
        for (name, text) in self.files {
            let path = project.dir.path().join("db/migrations").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        project
    }

    async fn is_kept(&self) {
        let (ours, theirs) = (Scratch::new(Kind::Postgres), Scratch::new(Kind::Postgres));
        let url = ours.url(Seen::Here);
        let program = self.program;
        assert_eq!(self.project(&url).run().await.applied(), 3, "{program}");
        let columns = format!("{COLUMNS}'{}'", self.table);
        assert_eq!(psql(&url, &columns).trim(), self.columns, "{program}");
        assert_eq!(psql(&url, self.ask).trim(), self.rows, "{program}");

        let url = theirs.url(Seen::Here);
        psql(&url, self.left);
        assert_eq!(psql(&url, &columns).trim(), self.columns, "{program}");
        assert_eq!(psql(&url, self.ask).trim(), self.rows, "{program}");
        let project = self.project(&url);
        let plan = project.plan().await;
        assert_eq!(plan.refusals, Vec::<String>::new(), "{program}");
        assert_eq!(plan.selected, Vec::<String>::new(), "{program}");
        let states = states(&plan);
        assert_eq!(states.len(), 3, "{program}");
        let applied = states.iter().all(|state| state.ends_with(" applied"));
        assert!(applied, "{program}: {states:?}");
    }
}

#[tokio::test]
async fn refinerys_table_is_kept_as_refinery_keeps_it() {
    REFINERY.is_kept().await;
}

#[tokio::test]
async fn sqlxs_table_is_kept_as_sqlx_keeps_it() {
    SQLX.is_kept().await;
}

#[tokio::test]
async fn diesels_table_is_kept_as_diesel_keeps_it() {
    DIESEL.is_kept().await;
}
