//! The migration engines that exist, as plain data: the caller asks the engine
//! registry, so that this module lists none of its own.

/// One engine that the registry, or the search path, knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineId {
    pub id: String,
    /// `migrations.path` must be given.
    pub needs_path: bool,
    /// `connection_env` must be given.
    pub needs_connection: bool,
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
    /// From ids and whether each needs a path. All need a connection but
    /// `app`, which opens none, and `command`, whose tool may find its own.
    pub fn new<S: Into<String>>(ids: impl IntoIterator<Item = (S, bool)>) -> Self {
        let ids = ids.into_iter().map(|(id, needs_path)| {
            let id = id.into();
            EngineId {
                needs_connection: id != APP && id != "command",
                id,
                needs_path,
            }
        });
        Self { ids: ids.collect() }
    }

    pub(super) fn find(&self, id: &str) -> Option<&EngineId> {
        self.ids.iter().find(|engine| engine.id == id)
    }
}
