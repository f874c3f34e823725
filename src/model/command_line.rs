//! A command as a value: built and tested as text, revealed only where it runs.

use std::fmt;

use super::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    Plain(String),
    /// Prints as a placeholder. Reaches a container through an API body only,
    /// never another process's argv.
    Secret(Secret),
}

/// A program and its arguments. `Display` is what may be logged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandLine {
    args: Vec<Arg>,
}

impl CommandLine {
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            args: vec![Arg::Plain(program.into())],
        }
    }

    pub fn from_words<I: IntoIterator<Item = S>, S: Into<String>>(words: I) -> Self {
        Self {
            args: words
                .into_iter()
                .map(|word| Arg::Plain(word.into()))
                .collect(),
        }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(Arg::Plain(arg.into()));
        self
    }

    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.args.push(Arg::Secret(secret));
        self
    }

    #[must_use]
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// The words with secrets in clear; for the runner alone.
    #[must_use]
    pub fn reveal(&self) -> Vec<String> {
        self.args
            .iter()
            .map(|arg| match arg {
                Arg::Plain(text) => text.clone(),
                Arg::Secret(secret) => secret.reveal().to_owned(),
            })
            .collect()
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match arg {
                Arg::Plain(text)
                    if !text.is_empty()
                        && text
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c)) =>
                {
                    f.write_str(text)?;
                }
                Arg::Plain(text) => write!(f, "'{}'", text.replace('\'', r"'\''"))?,
                Arg::Secret(secret) => write!(f, "{secret}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_shows_its_words_and_hides_its_secrets() {
        let line = CommandLine::new("psql")
            .arg("-c")
            .arg("select 1")
            .secret(Secret::new("pw"));
        assert_eq!(line.to_string(), "psql -c 'select 1' [secret]");
        assert_eq!(line.reveal(), ["psql", "-c", "select 1", "pw"]);
    }
}
