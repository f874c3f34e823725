//! `migrate reset` on real servers: whatever stands in a database is gone, and
//! the database itself stays.

use crate::sandbox::Sandbox;
use crate::support::database::{Kind, Scratch, Seen, mysql, psql};

const SHOP: &str = "\
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
  play:
    mode: dev
    hosts: [{ address: local, roles: [primary, web] }]
";

const POSTGRES: &str = "
create schema other;
create table other.t (id int primary key);
create type mood as enum ('good', 'bad');
create domain age as int check (value > 0);
create type pair as (a int, b int);
create table child (id int generated always as identity primary key, m mood, p pair,
  parent int references public.notes (id)) partition by range (id);
create table child_1 partition of child for values from (1) to (100);
create sequence by_hand;
create view seen as select * from notes;
create materialized view kept as select * from seen;
create function twice(int) returns int language sql as 'select $1 * 2';
create function add_up(int, int) returns int language sql as 'select $1 + $2';
create aggregate summed(int) (sfunc = add_up, stype = int);
create procedure nothing() language sql as 'select 1';
";

const MYSQL: &str = "
create table child (id int primary key, parent int, foreign key (parent) references notes (id));
create view seen as select * from notes;
create view `by ``hand` as select * from seen;
create function twice(n int) returns int deterministic return n * 2;
create procedure nothing() select 1;
create trigger t before insert on notes for each row set new.id = new.id;
";

/// D10, D73: a reset in dev mode, on a server that commits all or nothing.
#[test]
fn on_postgresql_everything_is_dropped_and_applied_again() {
    let objects = "select (select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'S', 'p'))
        + (select count(*) from pg_proc where pronamespace = 'public'::regnamespace)
        + (select count(*) from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd'))
        + (select count(*) from pg_namespace where nspname = 'other')";
    emptied(Kind::Postgres, POSTGRES, objects);
}

/// D10, D73: and on one that commits each statement.
#[test]
fn on_mariadb_everything_is_dropped_and_applied_again() {
    let objects =
        "select (select count(*) from information_schema.tables where table_schema = database())
        + (select count(*) from information_schema.routines where routine_schema = database())
        + (select count(*) from information_schema.triggers where trigger_schema = database())";
    emptied(Kind::Mysql, MYSQL, objects);
}

fn emptied(kind: Kind, more: &str, objects: &str) {
    let scratch = Scratch::new(kind);
    let url = scratch.url(Seen::Here);
    let sql = |sql: &str| match kind {
        Kind::Postgres => psql(&url, sql).trim().to_owned(),
        Kind::Mysql => mysql(&url, sql).trim().to_owned(),
    };
    let sandbox = Sandbox::with(SHOP);
    sandbox.set("DATABASE_URL", &url).file(
        "db/0001_notes.sql",
        "create table notes (id int primary key);\n",
    );
    assert_eq!(sandbox.run("migrate run --env play").code, 0);
    let fresh = sql(objects);
    sql(more);
    sql("insert into notes values (1)");
    let run = sandbox.run("migrate reset --env play --yes");
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(sql(objects), fresh);
    assert_eq!(sql("select count(*) from notes"), "0");
    assert_eq!(sandbox.run("migrate plan --env play --exit-code").code, 0);
}
