//! Statements and their grades, in the order in which a reader would ask.

use super::super::files::{Claim, Header, MigrationFile};
use super::super::sql;
use super::judge;
use crate::model::compat::Compat;
use crate::ports::Dialect;
use crate::ports::Dialect::{Mysql, Postgres, Sqlite};

/// The judgements of a folder; the files are `1.sql`, `2.sql` and so on.
fn folder(dialect: Dialect, texts: &[&str]) -> Vec<Compat> {
    let files: Vec<MigrationFile> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| MigrationFile {
            name: format!("{}.sql", index + 1),
            shown: format!("m/{}.sql", index + 1),
            text: (*text).to_owned(),
            checksum: String::new(),
            version: None,
            header: Header::read(text, "").0,
            tool: crate::migrate::files::Tool::default(),
        })
        .collect();
    let scripts: Vec<_> = texts.iter().map(|text| sql::read(dialect, text)).collect();
    judge(&files, &scripts)
}

/// Of a statement on a table `t (a, b)` that was there before.
fn grade(dialect: Dialect, text: &str) -> &'static str {
    folder(dialect, &["create table t (a int, b int)", text])[1].label()
}

fn all(dialect: Dialect, label: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(grade(dialect, text), label, "{text}");
    }
}

/// Why, of the first finding.
fn why(compat: &Compat) -> String {
    let found = compat.against(|_| true).next();
    found.map(ToString::to_string).unwrap_or_default()
}

#[test]
fn what_only_adds_is_additive() {
    all(
        Postgres,
        "additive",
        &[
            "",
            "create table u (id serial primary key, t_a int references t (a))",
            "create table u as select * from t",
            "alter table t add column c int",
            "alter table t add c int not null default 0, add column d text",
            "alter table t add column if not exists c bigserial not null",
            "alter table t add column c uuid unique default gen_random_uuid()",
            "alter table t add column c int unique",
            "alter table t add column c int references t (a)",
            "alter table t add column c text check (c in ('x', 'y'))",
            "alter table t add column c int generated always as (a + 1) stored",
            "alter table t alter column a drop not null",
            "alter table t alter column a set default 3",
            "alter table t alter a set statistics 100",
            "alter table t validate constraint c, set (fillfactor = 70)",
            "create index concurrently i on t (a)",
            "create index i on t (a); drop index i",
            "alter table t drop constraint t_b_fkey",
            "alter type k add value if not exists 'x' before 'y'",
            "create type k as enum ('x')",
            "create or replace view v as select a from t",
            "create function f() returns int language sql as 'select 1'",
            "create or replace function f() returns int language sql as 'drop table t'",
            "drop trigger if exists never_made on t",
            "insert into t values (1, 2) on conflict do nothing",
            "with x as (select 1) insert into t select * from x",
            "comment on table t is 'drop table t'",
            "grant select on t to reader",
            "set lock_timeout = '1s'; select pg_advisory_xact_lock(1); reset lock_timeout",
            "select setval('s', (select max(a) from t))",
            "analyze t; vacuum t; refresh materialized view v",
            "create policy p on t using (true)",
            "begin; create table u (id int); commit",
        ],
    );
}

#[test]
fn what_older_code_misses_or_cannot_write_any_more_is_breaking() {
    all(
        Postgres,
        "breaking",
        &[
            "drop table t",
            "drop table if exists a, t cascade",
            "drop view v",
            "drop materialized view v",
            "drop type k",
            "drop function f(int)",
            "drop schema s cascade",
            "drop extension pgcrypto",
            "drop trigger g on t",
            "alter table t drop column a",
            "alter table only t drop if exists a cascade",
            "alter table t add column c int, drop b",
            "alter table t rename to u",
            "alter table t rename column a to c",
            "alter table t rename a to c",
            "alter table \"public\".\"t\" rename \"a\" to \"A\"",
            "alter table t alter column a type text",
            "alter table t alter a set data type bigint using a::bigint",
            "alter table t alter column a set not null",
            "alter table t alter column a drop default",
            "alter table t add column c int not null",
            "alter table t add column c int primary key",
            "alter table t add column c int not null default null",
            "alter table t add column c int unique default 1",
            "alter table t add column c int check (c is not null)",
            "alter table t add column c int check (a > 0)",
            "alter table t add constraint k check (a > 0)",
            "alter table t add unique (a)",
            "alter table t add primary key (a)",
            "alter table t add constraint k foreign key (a) references t (b) not valid",
            "alter table t add exclude using gist (a with &&)",
            "alter table t set schema s",
            "alter table t enable row level security",
            "alter table t detach partition p",
            "alter table t alter column a add generated always as identity",
            "create unique index on t (a)",
            "create unique index concurrently i on t (lower(b))",
            "alter type k rename value 'x' to 'y'",
            "alter type k rename to l",
            "alter view v rename column a to b",
            "alter sequence s rename to r",
            "alter function f() rename to g",
            "alter domain d add check (value > 0)",
            "truncate t",
            "truncate table only t, u cascade",
            "delete from t where a = 1",
            "revoke select on t from reader",
            "create policy p on t as restrictive using (a = 1)",
            "/* leading */ -- comment\ndrop table t",
        ],
    );
}

#[test]
fn what_cannot_be_told_is_unknown_and_never_additive() {
    all(
        Postgres,
        "unknown",
        &[
            "do $$ begin execute 'drop ta' || 'ble t'; end $$",
            "do $$ begin call p(); end $$",
            "do language plpython3u $$ plpy.execute('x') $$",
            "call p()",
            "select my_function()",
            "select create_hypertable('t', 'a')",
            "do $$ begin perform my_function(); end $$",
            "create trigger g before insert on t for each row execute function f()",
            "create rule r as on insert to t do instead nothing",
            "alter table t disable trigger all",
            "alter table t owner to somebody",
            "update t set a = a + 1",
            "with x as (delete from t returning *) insert into u select * from x",
            "insert into t values (1) on conflict (a) do update set b = 1",
            "merge into t using u on (t.a = u.a) when matched then delete",
            "alter role app set search_path = x",
            "alter system set work_mem = '1MB'",
            "drop index somebodys_index",
            "drop index t_a_idx",
            "alter table t drop constraint somebodys",
            "frobnicate t",
            "alter table t frobnicate",
        ],
    );
}

#[test]
fn a_block_of_plain_statements_is_judged_by_its_statements() {
    let quiet = "do $$ begin create type k as enum ('x'); exception when duplicate_object then null; end $$";
    assert_eq!(grade(Postgres, quiet), "additive");
    let asks = "do $$ begin if not exists (select 1 from pg_type) then alter table t add c int; end if; end $$";
    assert_eq!(grade(Postgres, asks), "additive");
    let drops = "do $$ begin if true then alter table t drop column a; end if; end $$";
    assert_eq!(grade(Postgres, drops), "breaking");
}

#[test]
fn what_a_file_made_itself_hurts_nobody() {
    all(
        Postgres,
        "additive",
        &[
            "create table u (a int); alter table u alter a set not null; create unique index on u (a); drop table u",
            "create table public.u (a int); alter table u add check (a > 0); delete from u",
            "alter table t add column c int; update t set c = a; alter table t alter c type bigint",
            "alter table t add column c int; alter table t add foreign key (c) references t (a)",
            "alter table t add column c int; create unique index on t (a, c)",
            "alter table t add column c int; alter table t add check (c > 0)",
            "alter table t add column c int; alter table t alter c set default 0; alter table t alter c set not null",
            "create table u (id int); create trigger g before insert on u for each row execute function f()",
        ],
    );
    all(
        Postgres,
        "breaking",
        &[
            "alter table t add column c int; update t set c = 1; alter table t alter c set not null",
            "alter table t add column c int default 1; create unique index on t (c)",
            "create table app.u (a int); drop table u",
        ],
    );
}

#[test]
fn what_an_earlier_file_made_hurts_only_code_that_knows_it() {
    let judged = folder(
        Postgres,
        &[
            "create table t (a int)",
            "alter table t add b int",
            "alter table t drop b",
        ],
    );
    assert_eq!(judged[2].label(), "breaking");
    let against = |known: &[&str]| judged[2].against(|id| known.contains(&id)).count();
    assert_eq!(against(&["1.sql", "2.sql"]), 1);
    assert_eq!(against(&["1.sql"]), 0);
}

#[test]
fn a_table_made_anew_under_its_name_is_unknown() {
    let rebuilt = "create table new_t (a int); insert into new_t select a from t; drop table t; alter table new_t rename to t";
    assert_eq!(grade(Sqlite, rebuilt), "unknown");
    assert_eq!(
        grade(Sqlite, "drop table t; create table u (a int)"),
        "breaking"
    );
}

#[test]
fn a_replaced_function_is_unknown_from_the_second_time_on() {
    let make = "create or replace function f() returns trigger language plpgsql as $$ begin return new; end $$";
    let judged = folder(Postgres, &[make, make]);
    assert_eq!(
        (judged[0].label(), judged[1].label()),
        ("additive", "unknown")
    );
}

#[test]
fn an_index_is_missed_where_it_kept_values_unique() {
    let judged = folder(
        Postgres,
        &[
            "create table t (a int)",
            "create unique index i on t (a)",
            "drop index i",
        ],
    );
    assert_eq!(judged[2].label(), "breaking");
    let judged = folder(Postgres, &["create index i on t (a)", "drop index i"]);
    assert_eq!(judged[1].label(), "additive");
}

#[test]
fn mysql_is_judged_too() {
    all(
        Mysql,
        "additive",
        &[
            "alter table `t` add column `c` int null after `a`, add index i (c)",
            "alter table t add (c int, d int)",
            "create table u (id int auto_increment primary key) engine=InnoDB",
            "/*!40101 SET NAMES utf8 */",
            "alter table t engine=InnoDB, algorithm=inplace, lock=none",
            "alter table t drop foreign key k",
            "insert ignore into t values (1, 2)",
        ],
    );
    all(
        Mysql,
        "breaking",
        &[
            "alter table t change a c int",
            "alter table t drop a",
            "alter table t drop primary key",
            "rename table t to u, v to w",
            "alter table t rename u",
            "alter table t add column c int not null",
            "alter table t add unique key k (a)",
            "alter table t drop partition p",
            "drop procedure p",
            "truncate t",
        ],
    );
    all(
        Mysql,
        "unknown",
        &[
            "alter table t modify a bigint",
            "alter table t change a a bigint",
            "alter table t convert to character set utf8mb4",
            "create or replace view t as select 1",
            "create trigger g before insert on t for each row set new.a = 1",
            "replace into t values (1, 2)",
            "update t join u on t.a = u.a set t.b = 1",
            "set @s = 'drop table t'; prepare x from @s; execute x",
            "set global sql_mode = ''",
        ],
    );
}

#[test]
fn sqlite_is_judged_too() {
    all(
        Sqlite,
        "additive",
        &[
            "alter table t add c text",
            "pragma user_version = 3",
            "create table [u] (a)",
        ],
    );
    all(
        Sqlite,
        "breaking",
        &[
            "alter table t rename to u",
            "alter table [t] drop column [a]",
            "alter table t rename a to c",
            "drop table `t`",
        ],
    );
    all(
        Sqlite,
        "unknown",
        &["insert or replace into t values (1, 2)"],
    );
}

#[test]
fn the_finding_names_file_line_and_statement_and_counts_the_rest() {
    let text =
        "create table u (a int);\n\nalter table t\n  drop column a; -- gone\nalter table t drop b;";
    let judged = folder(Postgres, &["create table t (a int, b int)", text]);
    assert_eq!(
        why(&judged[1]),
        "`m/2.sql:3` drops the column `t.a`: `alter table t drop column a` (and 1 more like it)"
    );
}

#[test]
fn a_password_and_a_long_text_are_not_kept() {
    let judged = folder(Postgres, &["alter role app password 'hunter2'"]);
    assert!(!format!("{judged:?}").contains("hunter2"), "{judged:?}");
    let long = format!("delete from t where a in ({}0)", "12345, ".repeat(50));
    let judged = folder(Postgres, &["create table t (a int)", &long]);
    assert!(why(&judged[1]).contains(" …`"), "{}", why(&judged[1]));
    assert!(why(&judged[1]).len() < 250);
}

#[test]
fn the_header_overrules_and_what_it_overrules_is_kept() {
    let judged = folder(
        Postgres,
        &[
            "create table t (a int)",
            "-- stagecraft: compat=additive\ndrop table t",
        ],
    );
    let Compat::Declared { findings } = &judged[1] else {
        panic!("{judged:?}");
    };
    assert_eq!(findings[0].line, 2);
    assert_eq!(judged[1].against(|_| true).count(), 0);
    let judged = folder(Postgres, &["-- stagecraft: compat=breaking\nselect 1"]);
    assert_eq!(
        why(&judged[0]),
        "`m/1.sql:1` says of itself `compat=breaking`"
    );
    assert_eq!(
        Header::read("-- stagecraft: compat=breaking", "").0.compat,
        Some(Claim::Breaking)
    );
}

#[test]
fn syntax_that_is_not_understood_is_unknown_and_what_breaks_beside_it_still_breaks() {
    assert_eq!(grade(Postgres, "create table u (a int;"), "unknown");
    assert_eq!(
        grade(Postgres, "drop table t; create table u (a int;"),
        "breaking"
    );
}
