//! The engines by id: a written-out list, the programs on the search path, and
//! the way to add one. Imports `ports`. Configuration and validation ask here,
//! so that no second list can differ.

use std::ffi::OsStr;
use std::sync::Arc;

use crate::model::project::EngineNeeds;
use crate::ports::{Databases, Engine, Fetch};

use super::engines::app::App;
use super::engines::command::Command;
use super::engines::raw::Raw;
use super::engines::{drizzle, external, knex, node_pg_migrate, prisma};
use super::words;

/// See the module.
#[derive(Clone)]
pub struct Registry {
    engines: Vec<Arc<dyn Engine>>,
}

/// Why an engine cannot be added or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("an engine needs an id")]
    Empty,
    #[error("there is an engine `{0}` already")]
    Duplicate(String),
    #[error("unknown engine `{id}`; known, nearest first: {known}")]
    Unknown { id: String, known: String },
}

impl Registry {
    /// The engines that come with Stagecraft.
    #[must_use]
    pub fn builtin(databases: Arc<dyn Databases>, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            engines: vec![
                Arc::new(Raw::new(Arc::clone(&databases))),
                Arc::new(prisma::engine(Arc::clone(&databases))),
                Arc::new(drizzle::engine(Arc::clone(&databases))),
                Arc::new(knex::engine(Arc::clone(&databases))),
                Arc::new(node_pg_migrate::engine(databases)),
                Arc::new(Command),
                Arc::new(App::new(fetch)),
            ],
        }
    }

    /// Adds the programs `stagecraft-engine-<id>` of a search path; none takes
    /// the place of an engine that is known already.
    #[must_use]
    pub fn on_path(mut self, path: &OsStr, databases: &Arc<dyn Databases>) -> Self {
        for engine in external::discover(path, databases) {
            if !self.ids().contains(&engine.id()) {
                self.engines.push(Arc::new(engine));
            }
        }
        self
    }

    /// Adds an engine.
    ///
    /// # Errors
    /// Its id is empty, or there is one of that id.
    pub fn with(mut self, engine: Arc<dyn Engine>) -> Result<Self, RegistryError> {
        let id = engine.id();
        if id.is_empty() {
            return Err(RegistryError::Empty);
        }
        if self.ids().contains(&id) {
            return Err(RegistryError::Duplicate(id.to_owned()));
        }
        self.engines.push(engine);
        Ok(self)
    }

    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        self.engines.iter().map(|engine| engine.id()).collect()
    }

    /// Every id, and what its engine needs.
    #[must_use]
    pub fn known(&self) -> Vec<(&str, EngineNeeds)> {
        self.engines
            .iter()
            .map(|engine| (engine.id(), engine.needs()))
            .collect()
    }

    /// # Errors
    /// There is none of that id; the message lists those there are.
    pub fn get(&self, id: &str) -> Result<&Arc<dyn Engine>, RegistryError> {
        let found = self.engines.iter().find(|engine| engine.id() == id);
        found.ok_or_else(|| RegistryError::Unknown {
            id: id.to_owned(),
            known: words::list(&words::nearest(id, self.ids().into_iter())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry {
            engines: vec![Arc::new(Command)],
        }
    }

    #[test]
    fn a_second_engine_of_one_id_is_an_error_not_a_panic() {
        let twice = registry().with(Arc::new(Command));
        assert_eq!(
            twice.err().map(|error| error.to_string()),
            Some("there is an engine `command` already".into())
        );
    }

    #[test]
    fn an_unknown_engine_is_answered_with_the_known_ones() {
        let error = registry().get("comand").err().map(|e| e.to_string());
        assert_eq!(
            error.as_deref(),
            Some("unknown engine `comand`; known, nearest first: `command`")
        );
    }
}
