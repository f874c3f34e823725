//! Names as types, so that a role cannot be passed where a database is meant.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name: use lower-case letters, digits and hyphens, starting with a letter or digit, at most 40 characters"
)]
pub struct NotAName(pub String);

fn valid(text: &str) -> bool {
    let mut chars = text.chars();
    let head = chars
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    head && text.len() <= 40
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NotAName;
            fn from_str(text: &str) -> Result<Self, NotAName> {
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(NotAName(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NotAName;
            fn try_from(text: String) -> Result<Self, NotAName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The application.
    ProjectName
);
name!(
    /// A named target, such as `prod`.
    EnvironmentName
);
name!(
    /// What a container on a host is for, such as `web`.
    RoleName
);
name!(
    /// A database of the configuration, such as `main`.
    DatabaseName
);

impl RoleName {
    /// Whether this marks the host that runs one-off jobs.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.0 == "primary"
    }
}
