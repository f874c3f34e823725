//! The environment's key for fingerprints of secrets, in the host's state folder.
//! Imports `ports`, `model`.
//!
//! It is made once, on the host, and never leaves the hosts but over the link:
//! with the records alone, nobody can guess a value and check it. Whoever may
//! read it may ask the host's engine for the values themselves: the user who
//! made it, and in a folder that a group shares that group.

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::secret::Secret;

use super::state::{HostFiles, went_wrong};

const NAME: &str = "fingerprint.key";

/// Characters of a whole key: 32 bytes, hexadecimal.
const LENGTH: usize = 64;

/// The code of a script for a key that is there and may not be read.
const CLOSED: i32 = 45;

impl HostFiles {
    /// `None` when there is none yet, or another user's alone. Read-only.
    ///
    /// # Errors
    /// The host cannot be reached, or the key was damaged.
    pub async fn key(&self, host: &HostAddress) -> Result<Option<Secret>, Fault> {
        self.key_by(host, "[ -e \"$f\" ] || exit 0").await
    }

    /// Made when there is none. Two who make it at once get the same.
    ///
    /// # Errors
    /// As [`HostFiles::key`]; the folder cannot be written.
    pub async fn make_key(&self, host: &HostAddress) -> Result<Option<Secret>, Fault> {
        // A hard link replaces nothing: the first one stays.
        let make = r#"if [ ! -e "$f" ]; then
mkdir -p "$d" || exit 1
t=$d/.key.$$
trap 'rm -f "$t"' EXIT
case $(umask) in *77) m=600;; *) m=640;; esac
umask 077
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$t" && chmod "$m" "$t" || exit 1
sync "$t" 2>/dev/null || sync
ln "$t" "$f" 2>/dev/null || [ -e "$f" ] || exit 1
fi"#;
        self.key_by(host, make).await
    }

    async fn key_by(&self, host: &HostAddress, first: &str) -> Result<Option<Secret>, Fault> {
        let script = format!(
            "{}f=$d/{NAME}\n{first}\n[ -r \"$f\" ] || exit {CLOSED}\ncat \"$f\"\n",
            self.folder
        );
        let exit = self.link.exec(host, &script, b"").await?;
        match exit.code {
            0 if exit.stdout.is_empty() => Ok(None),
            CLOSED => Ok(None),
            0 => match String::from_utf8(exit.stdout) {
                Ok(key) if key.len() == LENGTH && key.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    Ok(Some(Secret::new(key)))
                }
                Ok(_) | Err(_) => Err(Fault::failed(format!(
                    "the file `{NAME}` in the state folder of `{host}` is damaged"
                ))
                .hint(format!(
                    "remove it on the host: the next deploy makes another one, and secrets of \
                     older releases cannot be compared any more (`rm {NAME}`)"
                ))),
            },
            _ => Err(went_wrong(host, "read the key of fingerprints", &exit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::super::machines::Machines;
    use super::*;

    #[tokio::test]
    async fn a_key_is_made_once_for_this_user_alone_and_reading_makes_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let host: HostAddress = "web1".parse().expect("an address");
        let machines = Machines::one(&host, folder.path());
        let link = Arc::new(machines);
        let project = "shop".parse().expect("a name");
        let environment = "prod".parse().expect("a name");
        let files = HostFiles::new(link, &project, &environment);
        assert_eq!(files.key(&host).await, Ok(None));
        assert!(!folder.path().join("shop").exists());
        let (one, two) = tokio::join!(files.make_key(&host), files.make_key(&host));
        let one = one.expect("made").expect("a key");
        assert_eq!(two, Ok(Some(one.clone())));
        assert_eq!(files.key(&host).await, Ok(Some(one.clone())));
        assert_eq!(one.reveal().len(), LENGTH);
        let path = folder.path().join("shop/prod").join(NAME);
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, if mode & 0o040 == 0 { 0o600 } else { 0o640 });
        std::fs::write(&path, "half").expect("written");
        let fault = files.key(&host).await.expect_err("damaged");
        assert!(fault.to_string().contains("is damaged"), "{fault}");
    }
}
