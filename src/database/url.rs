//! Connection URLs: what they say, and how they may be shown.
//!
//! A URL's password is in no message: [`ConnectionUrl`] prints as
//! `scheme://user@host:port/database`, and a text that cannot be read is
//! never repeated.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::model::fault::Fault;
use crate::model::secret::Secret;
use crate::ports::{Dialect, Which};

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) struct ConnectionUrl {
    /// The variable that it came from, for messages.
    pub(super) variable: String,
    pub(super) place: Place,
    /// As it was given; crosses into a container over its input.
    pub(super) text: Secret,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    Server(Server),
    /// An SQLite file; relative paths belong to the configuration's folder,
    /// or to the image's working directory.
    File(PathBuf),
}

/// A database on a server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) dialect: Dialect,
    /// A name, an address, or the absolute path of a unix socket (for
    /// PostgreSQL: of its folder).
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) database: String,
    pub(super) parameters: Vec<(String, String)>,
}

impl Server {
    /// The value of the last parameter of one of these names.
    pub(super) fn parameter(&self, names: &[&str]) -> Option<&str> {
        self.parameters
            .iter()
            .rev()
            .find(|(name, _)| names.contains(&name.as_str()))
            .map(|(_, value)| value.as_str())
    }

    /// Refuses a value with the name of its parameter.
    pub(super) fn bad(&self, names: &[&str], allowed: &str) -> Fault {
        Fault::config(format!(
            "the URL's parameter `{}` has a value that is not known",
            names.first().copied().unwrap_or_default()
        ))
        .hint(format!("write one of {allowed}"))
    }
}

impl ConnectionUrl {
    pub(super) fn dialect(&self) -> Dialect {
        match &self.place {
            Place::Server(server) => server.dialect,
            Place::File(_) => Dialect::Sqlite,
        }
    }

    /// Another database of the same server, or another file beside this one.
    pub(super) fn at(mut self, which: &Which) -> Self {
        if let Which::Other(name) = which {
            match &mut self.place {
                Place::Server(server) => server.database.clone_from(name),
                Place::File(path) => path.set_file_name(name),
            }
        }
        self
    }

    /// # Errors
    /// It names a server.
    pub(super) fn file(&self) -> Result<PathBuf, Fault> {
        match &self.place {
            Place::File(path) => Ok(path.clone()),
            Place::Server(_) => Err(Fault::internal("a server is no file")),
        }
    }

    /// # Errors
    /// Not a URL of a known scheme. The text is not repeated.
    pub(super) fn parse(variable: &str, text: &Secret) -> Result<Self, Fault> {
        let trimmed = text.reveal().trim();
        let scheme = trimmed.split_once(':').map_or("", |(scheme, _)| scheme);
        let place = match scheme {
            "postgres" | "postgresql" => server(variable, Dialect::Postgres, trimmed)?,
            "mysql" | "mariadb" => server(variable, Dialect::Mysql, trimmed)?,
            "sqlite" | "sqlite3" | "file" => Place::File(file(variable, trimmed)?),
            _ if trimmed.starts_with(['/', '.']) && !trimmed.contains("://") => {
                Place::File(PathBuf::from(trimmed))
            }
            _ => return Err(unknown(variable)),
        };
        Ok(Self {
            variable: variable.to_owned(),
            place,
            text: text.clone(),
        })
    }
}

fn unknown(variable: &str) -> Fault {
    Fault::config(format!("`{variable}` is not a database URL")).hint(format!(
        "write `{variable}` as `postgres://user:password@host/database`, \
         `mysql://user:password@host/database` or `sqlite:///data/app.db`"
    ))
}

fn server(variable: &str, dialect: Dialect, text: &str) -> Result<Place, Fault> {
    let unreadable = |why: String| {
        Fault::config(format!("the URL in `{variable}` cannot be read"))
            .because(why)
            .hint("write characters such as `@`, `/`, `#` and `%` of a password percent-encoded")
    };
    let url = Url::parse(text).map_err(|error| unreadable(error.to_string()))?;
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let named = |names: &[&str]| {
        parameters
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()))
            .map(|(_, value)| value.clone())
    };
    let host = named(&["host", "socket", "unix_socket"])
        .or_else(|| url.host_str().map(bare).filter(|host| !host.is_empty()))
        .unwrap_or_else(|| "localhost".to_owned());
    let user = decoded(url.username()).ok_or_else(|| unreadable("not UTF-8".to_owned()))?;
    let password = match url.password() {
        Some(text) => Some(Secret::new(
            decoded(text).ok_or_else(|| unreadable("not UTF-8".to_owned()))?,
        )),
        None => named(&["password"]).map(Secret::new),
    };
    let database = decoded(url.path().trim_start_matches('/'))
        .ok_or_else(|| unreadable("not UTF-8".to_owned()))?;
    if database.is_empty() {
        return Err(unreadable("it names no database".to_owned()));
    }
    let default_port = match dialect {
        Dialect::Mysql => 3306,
        Dialect::Postgres | Dialect::Sqlite => 5432,
    };
    Ok(Place::Server(Server {
        dialect,
        host,
        port: url.port().unwrap_or(default_port),
        user,
        password,
        database,
        parameters: parameters
            .into_iter()
            .filter(|(name, _)| name != "password")
            .collect(),
    }))
}

/// A host as it is dialled: percent-encoded socket paths in clear, IPv6
/// addresses without brackets.
fn bare(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    decoded(host).unwrap_or_else(|| host.to_owned())
}

fn file(variable: &str, text: &str) -> Result<PathBuf, Fault> {
    let (_, rest) = text.split_once(':').unwrap_or_default();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let path = decoded(path).unwrap_or_default();
    if path.is_empty() || path == ":memory:" {
        return Err(Fault::config(format!("`{variable}` names no SQLite file"))
            .hint(format!("write `{variable}` as `sqlite:///data/app.db`")));
    }
    Ok(PathBuf::from(path))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server(server) => server.fmt(f),
            Place::File(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.dialect {
            Dialect::Postgres => "postgres://",
            Dialect::Mysql => "mysql://",
            Dialect::Sqlite => "sqlite://",
        })?;
        if !self.user.is_empty() {
            write!(f, "{}@", self.user)?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        write!(f, ":{}/{}", self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConnectionUrl, Fault> {
        ConnectionUrl::parse("DATABASE_URL", &Secret::new(text))
    }

    #[test]
    fn a_url_shows_everything_but_its_password_and_parameters() {
        let url = parse("postgresql://app:p%40ss@db.internal:6432/shop?sslmode=require&password=x")
            .expect("a URL");
        assert_eq!(url.to_string(), "postgres://app@db.internal:6432/shop");
        let debug = format!("{url:?}");
        assert!(
            !debug.contains("p@ss") && !debug.contains("\"x\""),
            "{debug}"
        );
        let Place::Server(server) = url.place else {
            panic!("a server");
        };
        assert_eq!(server.password.as_ref().map(Secret::reveal), Some("p@ss"));
        assert_eq!(server.parameter(&["sslmode"]), Some("require"));
    }

    #[test]
    fn another_database_is_one_of_the_same_server_or_a_file_beside() {
        let other = Which::Other("shop_copy".into());
        let at = |text: &str| parse(text).expect("a URL").at(&other).to_string();
        assert_eq!(
            at("postgres://app@db:6432/shop?sslmode=require"),
            "postgres://app@db:6432/shop_copy"
        );
        assert_eq!(at("sqlite:///data/app.db"), "sqlite:/data/shop_copy");
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_repeated() {
        for bad in [
            "postgres://app:hunter2@db:port/shop",
            "hunter2",
            "redis://:hunter2@x/0",
        ] {
            let fault = parse(bad).expect_err("not a URL");
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
            assert!(fault.to_string().contains("DATABASE_URL"), "{fault}");
        }
    }

    #[test]
    fn every_way_to_write_an_sqlite_file_names_the_same_path() {
        for text in [
            "sqlite:///data/app.db",
            "sqlite:/data/app.db",
            "file:/data/app.db?mode=rwc",
            "sqlite3:///data/app.db",
            "/data/app.db",
            "sqlite:///data/%61pp.db",
        ] {
            let url = parse(text).expect("a file");
            assert_eq!(url.to_string(), "sqlite:/data/app.db", "{text}");
        }
        assert!(parse("sqlite::memory:").is_err());
    }

    #[test]
    fn a_socket_and_an_ipv6_address_are_hosts() {
        let host = |text: &str| match parse(text).expect("a URL").place {
            Place::Server(server) => (server.host, server.port),
            Place::File(_) => panic!("a server"),
        };
        assert_eq!(
            host("postgres:///shop?host=/var/run/postgresql"),
            ("/var/run/postgresql".to_owned(), 5432)
        );
        assert_eq!(
            host("postgres://%2Fvar%2Frun%2Fpostgresql/shop").0,
            "/var/run/postgresql"
        );
        assert_eq!(host("mysql://u@[::1]:3307/shop"), ("::1".to_owned(), 3307));
    }
}
