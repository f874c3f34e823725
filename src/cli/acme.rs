//! Where `tls: auto` asks for certificates, from this machine's environment:
//! an ACME server of one's own, or whom a public one may write to.

use std::ffi::OsString;
use std::path::Path;

use crate::model::fault::Fault;
use crate::model::project::{Environment, Tls};
use crate::model::route::Acme;

const DIRECTORY: &str = "STAGECRAFT_ACME_DIRECTORY";
const AUTHORITY: &str = "STAGECRAFT_ACME_CA";
const EMAIL: &str = "STAGECRAFT_ACME_EMAIL";

/// # Errors
/// A variable says what no server can be.
pub(super) fn acme(environment: &Environment) -> Result<Acme, Fault> {
    match &environment.proxy {
        Some(proxy) if proxy.tls == Tls::Auto => read(&|name| std::env::var_os(name)),
        _ => Ok(Acme::default()),
    }
}

fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Acme, Fault> {
    let text = |name: &str| -> Result<String, Fault> {
        let value = variable(name).unwrap_or_default();
        let value = value.into_string();
        value.map_err(|_| Fault::config(format!("`{name}` is not readable text")))
    };
    let directory = text(DIRECTORY)?;
    if !directory.is_empty() && !directory.starts_with("https://") {
        return Err(Fault::config(format!("`{DIRECTORY}` is not a URL"))
            .because(format!("it is `{directory}`"))
            .hint("write the whole address, such as `https://acme.example.com/directory`"));
    }
    let path = text(AUTHORITY)?;
    let authority = match (path.is_empty(), directory.is_empty()) {
        (true, _) => String::new(),
        (false, true) => {
            return Err(
                Fault::config(format!("`{AUTHORITY}` is set, and `{DIRECTORY}` is not"))
                    .because("it says who vouches for an ACME server of your own"),
            );
        }
        (false, false) => certificates(Path::new(&path))?,
    };
    Ok(Acme {
        directory,
        authority,
        email: text(EMAIL)?,
    })
}

fn certificates(path: &Path) -> Result<String, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::config(format!(
            "cannot read `{}`, which `{AUTHORITY}` names",
            path.display()
        ))
        .caused_by(&error)
    })?;
    // It goes to the hosts: nothing but certificates may.
    if !text.contains("-----BEGIN CERTIFICATE-----") || text.contains("PRIVATE KEY") {
        return Err(Fault::config(format!(
            "`{}` is not a file of certificates",
            path.display()
        ))
        .because(format!("`{AUTHORITY}` names it"))
        .hint("write the authority's certificate there, as PEM, without its key"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(variables: &[(&str, &str)]) -> Result<Acme, Fault> {
        read(&|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn without_variables_caddy_asks_where_it_asks_by_itself() {
        assert!(!read_of(&[]).unwrap().is_given());
        let only_email = read_of(&[(EMAIL, "ops@example.com")]).unwrap();
        assert_eq!(only_email.email, "ops@example.com");
        assert!(only_email.is_given() && only_email.directory.is_empty());
    }

    #[test]
    fn a_server_of_ones_own_has_a_url_and_its_authority_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let path = file.to_str().unwrap();
        let directory = (DIRECTORY, "https://acme.example/dir");
        let says = |fault: Fault| fault.what;
        assert_eq!(
            says(read_of(&[(DIRECTORY, "acme.example")]).unwrap_err()),
            "`STAGECRAFT_ACME_DIRECTORY` is not a URL"
        );
        assert!(says(read_of(&[(AUTHORITY, path)]).unwrap_err()).contains("is not"));
        let missing = read_of(&[directory, (AUTHORITY, path)]).unwrap_err();
        assert!(says(missing).starts_with("cannot read"));
        let certificate = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, certificate).unwrap();
        let acme = read_of(&[directory, (AUTHORITY, path)]).unwrap();
        assert_eq!(acme.authority, certificate);
        let with_key = format!("{certificate}-----BEGIN PRIVATE KEY-----\n");
        std::fs::write(&file, with_key).unwrap();
        let refused = read_of(&[directory, (AUTHORITY, path)]).unwrap_err();
        assert!(says(refused).ends_with("is not a file of certificates"));
    }
}
