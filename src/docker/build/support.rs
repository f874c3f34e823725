//! Whether an engine has BuildKit behind its API.

use crate::docker::client::{Call, Engine, fault};
use crate::model::fault::Fault;

/// # Errors
/// An engine that is too old, or not Docker's.
pub(super) async fn check(engine: &Engine) -> Result<(), Fault> {
    let answer = engine
        .send(Call::get("/_ping"))
        .await
        .map_err(|error| fault(engine.host(), "cannot build", error))?;
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        value.to_str().ok()
    };
    judge(header("api-version"), header("libpod-api-version"))
}

fn judge(api: Option<&str>, podman: Option<&str>) -> Result<(), Fault> {
    let hint = "builds need Docker Engine 18.09 or later on this machine; or build elsewhere and deploy the image: `stagecraft deploy --image REF`";
    if podman.is_some() {
        return Err(Fault::failed("this machine's engine has no BuildKit")
            .because("it is Podman, which offers no build sessions")
            .hint(hint));
    }
    let number = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    match api.and_then(number) {
        Some(version) if version < (1, 39) => {
            Err(Fault::failed("this machine's engine has no BuildKit")
                .because(format!("its API version is {}.{}", version.0, version.1))
                .hint(hint))
        }
        // One that does not say is asked to build, and answers for itself.
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_before_buildkit_and_other_engines_are_refused() {
        assert!(judge(Some("1.38"), None).is_err());
        assert!(judge(Some("1.39"), None).is_ok());
        assert!(judge(Some("1.100"), None).is_ok());
        assert!(judge(Some("1.41"), Some("4.3.1")).is_err());
        assert!(judge(None, None).is_ok());
    }
}
