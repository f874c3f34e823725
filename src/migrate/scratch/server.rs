//! A scratch database of a server: made, watched over and dropped through one
//! session on the configured database. While that session lives, others know
//! that the scratch database is in use.

use crate::model::fault::{Fault, FaultKind};
use crate::ports::{Cx, Database, Databases, Dialect, Job, SqlError, SqlErrorKind};

use super::{Purpose, Sweep, found, left, session, swept};

pub(super) struct Keeper {
    session: Box<dyn Database>,
    dialect: Dialect,
    name: String,
}

impl Keeper {
    pub(super) async fn create(
        databases: &dyn Databases,
        cx: &Cx,
        job: &Job<'_>,
        dialect: Dialect,
        name: &str,
        sweep: Sweep<'_>,
    ) -> Result<Self, Fault> {
        let opened = databases.open(cx, job, &session(job.database, name)).await;
        let mut keeper = Self {
            session: opened?,
            dialect,
            name: name.to_owned(),
        };
        keeper.mark().await?;
        for other in keeper.session.query(&leftovers(dialect)).await? {
            let other = other.unwrap_or_default();
            match sweep.drops(&other) && keeper.drops_unused(cx, &other).await {
                true => swept(cx, &other),
                false => found(cx, &other, &drop_statement(dialect, &other)),
            }
        }
        let statement = keeper.create_statement().await?;
        match keeper.session.execute(cx, &statement).await {
            Ok(()) => Ok(keeper),
            Err(error) if error.kind == SqlErrorKind::Statement => {
                Err(refused(dialect, name, &error))
            }
            // Stopped in the middle: it may be there all the same.
            Err(error) => {
                keeper.remove(databases, &cx.uncancellable(), job).await?;
                match error.kind {
                    SqlErrorKind::Cancelled => Err(Fault::interrupted()),
                    SqlErrorKind::Statement
                    | SqlErrorKind::LockTimeout
                    | SqlErrorKind::StatementTimeout
                    | SqlErrorKind::ConnectionLost => Err(refused(dialect, name, &error)),
                }
            }
        }
    }

    /// Drops it where nobody is connected to it; PostgreSQL itself refuses
    /// where somebody is, or where it is another login's.
    async fn drops_unused(&mut self, cx: &Cx, name: &str) -> bool {
        if self.dialect == Dialect::Mysql {
            let users = format!(
                "SELECT CAST(count(*) AS CHAR) FROM information_schema.processlist WHERE db = '{name}'"
            );
            match self.session.query(&users).await.as_deref() {
                Ok([Some(count)]) if count == "0" => {}
                Ok(_) | Err(_) => return false,
            }
        }
        let statement = drop_statement(self.dialect, name);
        self.session.execute(cx, &statement).await.is_ok()
    }

    /// MySQL shows no name of a session, but a lock of the name that it holds.
    async fn mark(&mut self) -> Result<(), Fault> {
        match self.dialect {
            Dialect::Mysql => {
                let sql = format!("SELECT GET_LOCK('{}', 0)", self.name);
                self.session.query(&sql).await.map(|_| ())
            }
            Dialect::Postgres | Dialect::Sqlite => Ok(()),
        }
    }

    /// In MySQL with the character set of the configured one, which decides
    /// how long a key may be; PostgreSQL has the cluster's.
    async fn create_statement(&mut self) -> Result<String, Fault> {
        let name = quoted(self.dialect, &self.name);
        if self.dialect != Dialect::Mysql {
            return Ok(format!("CREATE DATABASE {name}"));
        }
        let sql = "SELECT CONCAT('CHARACTER SET ', @@character_set_database, \
                   ' COLLATE ', @@collation_database)";
        let like = self.session.query(sql).await?.into_iter().next().flatten();
        Ok(format!(
            "CREATE DATABASE {name} {}",
            like.unwrap_or_default()
        ))
    }

    /// Makes it anew as a copy of the configured one; where the server does not
    /// let it, it stays empty, and the answer says why.
    pub(super) async fn copy(&mut self, cx: &Cx) -> Result<Option<String>, Fault> {
        if self.dialect != Dialect::Postgres {
            return Ok(Some("MySQL cannot copy a database as a whole".to_owned()));
        }
        let source = self.session.query("SELECT quote_ident(current_database())");
        let source = source.await?.into_iter().next().flatten();
        let empty = self.create_statement().await?;
        let copy = format!("{empty} TEMPLATE {}", source.unwrap_or_default());
        let failed = |error: SqlError| match error.kind {
            SqlErrorKind::Cancelled => Fault::interrupted(),
            SqlErrorKind::Statement
            | SqlErrorKind::LockTimeout
            | SqlErrorKind::StatementTimeout
            | SqlErrorKind::ConnectionLost => refused(self.dialect, &self.name, &error),
        };
        let drop = drop_statement(self.dialect, &self.name);
        self.session.execute(cx, &drop).await.map_err(failed)?;
        match self.session.execute(cx, &copy).await {
            Ok(()) => Ok(None),
            Err(error) if error.kind == SqlErrorKind::Statement => {
                self.session.execute(cx, &empty).await.map_err(failed)?;
                let detail = error.detail.map(|detail| format!(" ({detail})"));
                Ok(Some(format!(
                    "{}{}",
                    error.message,
                    detail.unwrap_or_default()
                )))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// By its own session, or by a new one where that was lost meanwhile.
    pub(super) async fn remove(
        mut self,
        databases: &dyn Databases,
        cx: &Cx,
        job: &Job<'_>,
    ) -> Result<(), Fault> {
        if self.dropped(cx).await.is_ok() {
            return Ok(());
        }
        let options = session(job.database, &self.name);
        let cause = match databases.open(cx, job, &options).await {
            Ok(session) => {
                self.session = session;
                match self.dropped(cx).await {
                    Ok(()) => return Ok(()),
                    Err(error) => Fault::failed(error.message),
                }
            }
            Err(fault) => fault,
        };
        let by_hand = drop_statement(self.dialect, &self.name);
        Err(left(&self.name, &by_hand, &cause))
    }

    async fn dropped(&mut self, cx: &Cx) -> Result<(), SqlError> {
        if self.dialect == Dialect::Postgres {
            // Sessions that were closed a moment ago may not have ended yet.
            let sql = format!(
                "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                 WHERE datname = '{}' AND usename = current_user",
                self.name
            );
            let _ = self.session.query(&sql).await;
        }
        let statement = drop_statement(self.dialect, &self.name);
        self.session.execute(cx, &statement).await
    }
}

/// Scratch databases that no session watches over.
fn leftovers(dialect: Dialect) -> String {
    let named = |column: &str| {
        let all = Purpose::prefixes()
            .map(|prefix| format!("left({column}, {}) = '{prefix}'", prefix.len()));
        all.join(" OR ")
    };
    match dialect {
        Dialect::Mysql => format!(
            "SELECT schema_name FROM information_schema.schemata \
             WHERE ({}) AND IS_USED_LOCK(schema_name) IS NULL ORDER BY 1",
            named("schema_name")
        ),
        Dialect::Postgres | Dialect::Sqlite => format!(
            "SELECT d.datname FROM pg_database d WHERE ({}) AND NOT EXISTS (\
             SELECT 1 FROM pg_stat_activity a \
             WHERE a.application_name = 'stagecraft/' || d.datname) ORDER BY 1",
            named("d.datname")
        ),
    }
}

fn drop_statement(dialect: Dialect, name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {}", quoted(dialect, name))
}

/// A name of small letters, digits and underscores.
fn quoted(dialect: Dialect, name: &str) -> String {
    match dialect {
        // Such a name needs no quotes: backticks would not stand well in the
        // backticks of a message.
        Dialect::Mysql => name.to_owned(),
        Dialect::Postgres | Dialect::Sqlite => format!("\"{name}\""),
    }
}

fn refused(dialect: Dialect, name: &str, error: &SqlError) -> Fault {
    let code = error.code.as_deref().unwrap_or_default();
    let not_allowed = code == "42501" || code.starts_with("1044 ") || code.starts_with("1227 ");
    let kind = match not_allowed {
        true => FaultKind::Config,
        false => FaultKind::Unreachable,
    };
    let fault = Fault::new(kind, format!("cannot make the scratch database `{name}`"))
        .because(format!("{code} {}", error.message).trim())
        .state("nothing was changed");
    match (not_allowed, dialect) {
        (false, _) => fault,
        (true, Dialect::Mysql) => {
            fault.hint("let the login make it: `GRANT ALL ON \\`stagecraft\\_%\\`.* TO …`")
        }
        (true, Dialect::Postgres | Dialect::Sqlite) => {
            fault.hint("let the login make databases: `ALTER ROLE … CREATEDB`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_fits_where_the_server_shows_it() {
        for prefix in Purpose::prefixes() {
            assert!("stagecraft/".len() + prefix.len() + 32 <= 63, "{prefix}");
        }
    }

    #[test]
    fn a_login_that_may_not_make_databases_is_told_how_it_could() {
        let error = SqlError {
            message: "permission denied to create database".into(),
            code: Some("42501".into()),
            ..SqlError::default()
        };
        let fault = refused(Dialect::Postgres, "stagecraft_check_x", &error);
        assert_eq!(fault.kind, FaultKind::Config);
        assert_eq!(fault.causes, ["42501 permission denied to create database"]);
        assert!(fault.hints[0].contains("CREATEDB"));
    }
}
