//! The migration engines that exist, as plain data: the caller asks the engine
//! registry, so that this module lists none of its own.

use crate::model::project::EngineNeeds;

/// One engine that the registry, or the search path, knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineId {
    pub id: String,
    pub needs: EngineNeeds,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Engines {
    pub ids: Vec<EngineId>,
}

/// The engine whose application migrates itself: Stagecraft opens no
/// connection and runs nothing.
pub(super) const APP: &str = "app";

impl Engines {
    /// From ids and what each needs.
    pub fn new<S: Into<String>>(ids: impl IntoIterator<Item = (S, EngineNeeds)>) -> Self {
        let ids = ids.into_iter().map(|(id, needs)| EngineId {
            id: id.into(),
            needs,
        });
        Self { ids: ids.collect() }
    }

    pub(super) fn find(&self, id: &str) -> Option<&EngineId> {
        self.ids.iter().find(|engine| engine.id == id)
    }
}
