use super::super::{Product, Server, read};
use super::*;

fn weighed(dialect: Dialect, server: Server, text: &str) -> Vec<Weighed> {
    read(dialect, text).weights(server)
}

fn lines(dialect: Dialect, server: Server, text: &str) -> Vec<String> {
    weighed(dialect, server, text)
        .into_iter()
        .flat_map(|one| one.weights)
        .map(|weight| {
            let lock = weight.lock.map_or("-", Lock::label);
            format!(
                "{} | {} | {} | {lock} | {} | {}",
                weight.rule,
                weight.tables.join(","),
                weight.index.unwrap_or_default(),
                weight.work.label(),
                weight.blocks.label()
            )
        })
        .collect()
}

fn postgres(text: &str) -> Vec<String> {
    let server = Server {
        product: Product::Postgres,
        version: (15, 0),
    };
    lines(Dialect::Postgres, server, text)
}

/// The first finding of a statement, without its table.
fn rule(text: &str) -> String {
    let found = postgres(text);
    let first = found.first().map_or("", String::as_str);
    first.split(" | ").next().unwrap_or_default().to_owned()
}

#[test]
fn each_kind_of_statement_takes_the_lock_that_the_server_takes() {
    let cases = [
        (
            "alter table t add a int",
            "adding-a-column | t |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "alter table public.t add column if not exists a timestamptz default now() not null",
            "adding-a-column | t |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "alter table t add a uuid default gen_random_uuid()",
            "adding-field-with-default | t |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "alter table t add id bigserial",
            "adding-serial-field | t |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "alter table t alter a type bigint",
            "changing-column-type | t |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "alter table t alter column a set not null",
            "adding-not-nullable-field | t |  | ACCESS EXCLUSIVE | scans the table | blocks reads and writes",
        ),
        (
            "alter table t add constraint c check (a > 0)",
            "constraint-missing-not-valid | t |  | ACCESS EXCLUSIVE | scans the table | blocks reads and writes",
        ),
        (
            "alter table t add constraint c check (a > 0) not valid",
            "adding-a-constraint | t |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "alter table t validate constraint c",
            "validating-a-constraint | t |  | SHARE UPDATE EXCLUSIVE | scans the table | blocks other schema changes",
        ),
        (
            "alter table t add constraint f foreign key (a) references u (id)",
            "adding-foreign-key-constraint | t,u |  | SHARE ROW EXCLUSIVE | scans the table | blocks writes",
        ),
        (
            "alter table t add unique (a)",
            "disallowed-unique-constraint | t |  | ACCESS EXCLUSIVE | builds an index | blocks reads and writes",
        ),
        (
            "alter table t add constraint c unique using index i",
            "adding-a-constraint | t |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "alter table t set tablespace x",
            "setting-tablespace | t |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "alter table t set (fillfactor = 70)",
            "altering-a-table | t |  | SHARE UPDATE EXCLUSIVE | no work on the rows | blocks other schema changes",
        ),
        (
            "create index i on only t using btree (a)",
            "require-concurrent-index-creation | t |  | SHARE | builds an index | blocks writes",
        ),
        (
            "create unique index concurrently if not exists i on t (a)",
            "index-built-apart | t |  | SHARE UPDATE EXCLUSIVE | builds an index | blocks other schema changes",
        ),
        (
            "drop index i",
            "require-concurrent-index-deletion |  | i | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "create trigger x before insert on t for each row execute function f()",
            "creating-a-trigger | t |  | SHARE ROW EXCLUSIVE | no work on the rows | blocks writes",
        ),
        (
            "lock table t in share mode",
            "locking-a-table | t |  | SHARE | no work on the rows | blocks writes",
        ),
        (
            "lock t",
            "locking-a-table | t |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "refresh materialized view v",
            "refreshing-a-materialized-view | v |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "vacuum (full) t",
            "vacuum-full | t |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "cluster t using i",
            "cluster | t |  | ACCESS EXCLUSIVE | rewrites the table | blocks reads and writes",
        ),
        (
            "update t set a = 1",
            "updating-every-row | t |  | ROW EXCLUSIVE | changes rows | blocks writes",
        ),
        (
            "with x as (select 1) delete from t where a in (select * from x)",
            "deleting-rows | t |  | ROW EXCLUSIVE | changes rows | blocks writes",
        ),
        (
            "truncate t cascade",
            "ban-truncate-cascade | t |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "alter type k rename value 'a' to 'b'",
            "altering-a-type |  |  | ACCESS EXCLUSIVE | no work on the rows | blocks other schema changes",
        ),
        (
            "create table p2 partition of p for values in (2)",
            "creating-a-partition | p |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
        (
            "create table a (b int references u (id))",
            "adding-foreign-key-constraint | u |  | SHARE ROW EXCLUSIVE | no work on the rows | blocks writes",
        ),
        (
            "drop table a, b",
            "ban-drop-table | a |  | ACCESS EXCLUSIVE | no work on the rows | blocks reads and writes",
        ),
    ];
    for (text, expected) in cases {
        let found = postgres(text);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{text}");
    }
}

#[test]
fn what_the_server_does_at_once_depends_on_its_version() {
    let on = |version, text| {
        let product = Product::Postgres;
        let found = lines(Dialect::Postgres, Server { product, version }, text);
        found[0].contains("rewrites")
    };
    assert!(on((10, 0), "alter table t add a int default 1"));
    assert!(!on((11, 0), "alter table t add a int default 1"));
    assert!(on(
        (17, 0),
        "alter table t add a int generated always as (b + 1)"
    ));
    assert!(!on(
        (18, 0),
        "alter table t add a int generated always as (b + 1)"
    ));
    let maria = |version| Server {
        product: Product::Mariadb,
        version,
    };
    let add = |server| lines(Dialect::Mysql, server, "alter table t add a int after b");
    assert!(add(maria((10, 3)))[0].contains("rewrites"));
    assert!(add(maria((10, 11)))[0].contains("no work"));
}

#[test]
fn a_block_weighs_what_its_statements_weigh_and_a_function_once_it_is_called() {
    assert_eq!(
        rule("do $$ begin if true then alter table t alter a type bigint; end if; end $$"),
        "changing-column-type"
    );
    assert_eq!(
        rule("do $$ begin execute 'create index i on t (a)'; end $$"),
        "require-concurrent-index-creation"
    );
    assert_eq!(
        rule("do $$ begin execute 'drop table ' || x; end $$"),
        "unreadable-statement"
    );
    let made =
        "create function f() returns void language plpgsql as $$ begin update t set a = 1; end $$;";
    assert_eq!(rule(made), "");
    assert_eq!(rule(&format!("{made} select f();")), "updating-every-row");
    assert_eq!(
        rule(&format!("{made} do $$ begin perform f(); end $$;")),
        "updating-every-row"
    );
}

#[test]
fn functions_that_call_each_other_end() {
    let text = "create function f() returns void language sql as $$ select f(), f() $$; select f()";
    assert_eq!(rule(text), "");
}

#[test]
fn what_is_made_is_told() {
    let server = Server::assumed(Dialect::Postgres);
    let made = weighed(
        Dialect::Postgres,
        server,
        "create unlogged table if not exists public.a (b int); create table \"C\" as select 1; alter table a rename to d",
    );
    assert_eq!(made[0].made, ["a"]);
    assert_eq!(made[1].made, ["C"]);
    assert_eq!(made[2].renamed, [("a".to_owned(), "d".to_owned())]);
}

#[test]
fn mysql_says_how_the_server_would_do_it() {
    let server = Server::assumed(Dialect::Mysql);
    let found = |text| lines(Dialect::Mysql, server, text).join("; ");
    assert_eq!(
        found("alter table `t` modify a bigint"),
        "changing-column-type | t |  | metadata lock | rewrites the table | blocks writes"
    );
    assert_eq!(
        found("alter table t add index i (a), algorithm=inplace, lock=none"),
        "creating-an-index | t |  | metadata lock | builds an index | blocks other schema changes"
    );
    assert_eq!(
        found("alter table t modify a bigint, lock=none"),
        "changing-column-type | t |  | metadata lock | rewrites the table | blocks other schema changes"
    );
    assert_eq!(
        found("delete from t"),
        "deleting-every-row | t |  | ROW EXCLUSIVE | changes rows | blocks writes"
    );
}

#[test]
fn sqlite_locks_the_whole_file() {
    let server = Server::assumed(Dialect::Sqlite);
    let found = |text| lines(Dialect::Sqlite, server, text).join("; ");
    assert_eq!(
        found("create unique index i on t (a)"),
        "creating-an-index | t |  | write lock of the file | builds an index | blocks writes"
    );
    assert_eq!(
        found("insert into new select * from t"),
        "copying-rows | t |  | write lock of the file | rewrites the table | blocks writes"
    );
    assert_eq!(found("insert into t values (1)"), "");
}

#[test]
fn a_level_says_how_much_is_at_stake() {
    let level = |text| {
        let found = weighed(Dialect::Postgres, Server::assumed(Dialect::Postgres), text);
        let levels = found
            .iter()
            .flat_map(|one| &one.weights)
            .map(|one| one.level);
        levels.max()
    };
    for (text, expected) in [
        ("drop schema s cascade", Some(Level::Critical)),
        ("drop database d", Some(Level::Critical)),
        ("drop table t", Some(Level::High)),
        ("alter table t drop a", Some(Level::High)),
        ("truncate t", Some(Level::High)),
        ("delete from t", Some(Level::High)),
        ("delete from t where a = 1", Some(Level::Medium)),
        ("alter table t rename a to b", Some(Level::Medium)),
        ("alter table t add a int", Some(Level::Low)),
        ("create table t (a int)", None),
    ] {
        assert_eq!(level(text), expected, "{text}");
    }
}
